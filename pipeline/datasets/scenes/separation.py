"""Ground truth for mixtures with known sources: the ideal mask, and how close a sound is to its source."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def ideal_ratio_mask(target_magnitude: NDArray[Any], background_magnitude: NDArray[Any]) -> NDArray[Any]:
    """Compute the target's share of the power in each bin, |T|^2 / (|T|^2 + |B|^2); 0 where both are 0.

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


def si_sdr(estimate: NDArray[Any], reference: NDArray[Any]) -> float:
    """Compute the scale-invariant signal-to-distortion ratio in dB of an estimate `[n]` of a reference `[n]`.

    Le Roux et al. 2019, equation 3; -inf for a silent estimate, inf for a scaled copy.
    Raises ValueError if the shapes differ or the reference is silent.
    """
    if estimate.shape != reference.shape:
        raise ValueError(f"estimate has shape {estimate.shape} and reference {reference.shape}: they must agree")
    s, e = reference.astype(np.float64), estimate.astype(np.float64)
    energy = float(s @ s)
    if energy == 0:
        raise ValueError("the reference is silent: there is nothing to compare with")
    target = (e @ s) / energy * s
    distortion = float(((target - e) ** 2).sum())
    wanted = float((target**2).sum())
    if wanted == 0:
        return -np.inf
    return float(10 * np.log10(wanted / distortion)) if distortion > 0 else np.inf
