"""The mask an explanation is held against when both sources of a mixture are known."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def ideal_ratio_mask(target_magnitude: NDArray[Any], background_magnitude: NDArray[Any]) -> NDArray[Any]:
    """Share of the power in each bin that is the target's, |T|^2 / (|T|^2 + |B|^2); 0 where both are 0.

    Shapes: two arrays [..., n_freq, n_frames] of magnitudes (linear) -> the same shape, in [0, 1].
    Raises ValueError if the shapes differ.
    """
    if target_magnitude.shape != background_magnitude.shape:
        raise ValueError(
            f"target_magnitude has shape {target_magnitude.shape} and background_magnitude "
            f"{background_magnitude.shape}: take both from the same STFT"
        )
    # Scaled by the larger of the two first: squares of small float32 magnitudes would underflow to 0 / 0.
    larger = np.maximum(np.abs(target_magnitude), np.abs(background_magnitude))
    safe = np.where(larger > 0, larger, 1)
    target, background = (target_magnitude / safe) ** 2, (background_magnitude / safe) ** 2
    return np.where(larger > 0, target / np.where(larger > 0, target + background, 1), 0)
