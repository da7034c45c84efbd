"""Clipped samples: at full scale, or flat at a peak, as an overdriven recorder leaves them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

# The highest value of 16 bits, and a rounding below.
_FULL_SCALE = 32766.5 / 32768
# A flat peak has at least `_MIN_FLAT` equal samples, is at least `_MIN_PEAK` high, and is reached by a step of at least
# `_MIN_QUANTA` quanta of the recording and `_MIN_STEP` of the peak: the top of a slow or coarse wave is flat too, but
# is reached slowly.
_MIN_FLAT, _MIN_PEAK, _MIN_QUANTA, _MIN_STEP = 4, 0.05, 4, 0.002
_QUANTUM_SAMPLES = 4096


def at_full_scale(frames: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return which samples of `[n, channels]` are beyond full scale, or at it next to another one at it."""
    amplitude = np.abs(frames)
    full = amplitude >= _FULL_SCALE
    if not full.any():
        return full
    beside = np.zeros_like(full)
    same = full[1:] & full[:-1] & (frames[1:] == frames[:-1])
    beside[1:] |= same
    beside[:-1] |= same
    return beside | (amplitude > 1)


def flat_peaks(waveform: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return which samples of `[channels, n]` lie flat at their channel's highest or lowest value, as if clipped."""
    found = np.zeros(waveform.shape, np.bool_)
    for channel, row in zip(waveform, found, strict=True):
        if not len(channel):
            continue
        for peak in (channel.max(), channel.min()):
            at_peak = channel == peak
            if abs(peak) >= _MIN_PEAK and np.count_nonzero(at_peak) >= _MIN_FLAT:
                _mark(channel, float(peak), at_peak, row)
    return found


def _mark(channel: NDArray[np.float32], peak: float, at_peak: NDArray[np.bool_], found: NDArray[np.bool_]) -> None:
    bounds = np.flatnonzero(np.diff(np.concatenate([[False], at_peak, [False]])))
    begins, ends = bounds[::2], bounds[1::2]
    long = (ends - begins >= _MIN_FLAT) & (begins > 0)
    if not long.any():
        return
    some = np.unique(channel[:_QUANTUM_SAMPLES])
    quantum = float(np.diff(some).min()) if len(some) > 1 else 0.0
    step = max(_MIN_QUANTA * quantum, _MIN_STEP * abs(peak))
    for begin, end in zip(begins[long].tolist(), ends[long].tolist(), strict=True):
        if abs(peak - channel[begin - 1]) >= step:
            found[begin:end] = True


def at_new_rate(clipped: NDArray[np.bool_], rate_in: int, rate_out: int, n: int) -> tuple[NDArray[np.int32], ...]:
    """Return, for each channel of `[channels, frames]`, which of `n` samples at another rate fall on clipped ones."""
    frames = clipped.shape[1]
    if not clipped.any():
        return tuple(np.zeros(0, np.int32) for _ in clipped)
    nearest = np.minimum(np.arange(n, dtype=np.int64) * rate_in // rate_out, frames - 1)
    return tuple(np.flatnonzero(channel[nearest]).astype(np.int32) for channel in clipped)


class ClippedSamples:
    """The clipped samples of a clip that is being cut into windows, by channel."""

    def __init__(self) -> None:
        self._held: list[NDArray[np.int64]] = []

    def add(self, start: int, clipped: Sequence[NDArray[np.int32]]) -> None:
        """Add those of a block that begins at sample `start`, as positions in the block for each channel."""
        self._held = self._held or [np.zeros(0, np.int64) for _ in clipped]
        self._held = [
            np.concatenate([held, block.astype(np.int64) + start]) if len(block) else held
            for held, block in zip(self._held, clipped, strict=True)
        ]

    def count(self, channel: int, start: int, stop: int) -> int:
        """Count those in samples `start` to `stop` of a channel; later calls must not begin before `start`."""
        held = self._held[channel] if self._held else np.zeros(0, np.int64)
        first, behind = np.searchsorted(held, [start, stop])
        if first:
            self._held[channel] = held[first:]
        return int(behind - first)
