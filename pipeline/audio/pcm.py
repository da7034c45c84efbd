"""The 16-bit grid: floats in [-1, 1) <-> integer PCM samples.

Decoders map the integer k to k / 32768, so that is the grid; +1 itself is not on it. Ties are rounded to even.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

STEPS = 32768
# The highest point of the grid.
PEAK = (STEPS - 1) / STEPS

Samples = TypeVar("Samples", NDArray[np.float32], "Tensor")


def round_to_pcm(waveform: Samples) -> Samples:
    """Round samples, a numpy array or a tensor, to the nearest point of the 16-bit grid and clip them at its ends.

    >>> round_to_pcm(np.float32([0.3, 1.0]))
    array([0.2999878, 0.9999695], dtype=float32)
    """
    # A power of two: the product and the quotient are exact.
    return (waveform * STEPS).round().clip(-STEPS, STEPS - 1) / STEPS


def to_pcm(waveform: NDArray[np.float32]) -> NDArray[np.int16]:
    """Return samples as 16-bit integers, rounded as by `round_to_pcm`; raises ValueError for NaN and infinite ones.

    >>> to_pcm(np.float32([-1.0, 0.5, 1.0]))
    array([-32768,  16384,  32767], dtype=int16)
    """
    if not np.isfinite(waveform).all():
        raise ValueError("the waveform has NaN or infinite samples, which 16 bits cannot hold")
    return (round_to_pcm(waveform) * STEPS).astype(np.int16)


def from_pcm(samples: NDArray[np.int16]) -> NDArray[np.float32]:
    """Return 16-bit integers as float32 samples in [-1, 1).

    >>> from_pcm(np.int16([-32768, 16384, 32767]))
    array([-1.       ,  0.5      ,  0.9999695], dtype=float32)
    """
    return samples.astype(np.float32) / np.float32(STEPS)


def from_pcm_tensor(samples: Tensor) -> Tensor:
    """Return 16-bit integers as float32 samples in [-1, 1), on their device: the same bits as `from_pcm`."""
    return samples.float() / STEPS


def to_pcm_tensor(samples: Tensor) -> Tensor:
    """Return samples that lie on the 16-bit grid as 16-bit integers, on their device: the inverse of `from_pcm_tensor`.

    Samples beside the grid must be rounded by `round_to_pcm` first.
    """
    return (samples * STEPS).short()
