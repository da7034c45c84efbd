"""Traits of a recording that may recur in others: steady tones, the steady background, the first and last moment."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import median_filter

from pipeline.audit.shortcuts.cues.background import QUIET_SHARE, bands
from pipeline.audit.shortcuts.cues.cue import Sound
from pipeline.audit.shortcuts.cues.spectrum import N_FFT, transform

# A steady tone exceeds the bins beside it by this many dB in the quiet frames.
_PROMINENCE_DB, _BESIDE = 6.0, 31
_LOWEST_HZ = 30.0
_FLOOR = 1e-14
# The part at each end that is compared between recordings.
EDGE_S = 0.05


@dataclass(frozen=True)
class Traits:
    """Traits of one recording: `tones` `[N_FFT / 2 + 1]`, the bins with a steady tone; `background` `[bands]` in dB;
    and the samples of its first and last moments, `start` and `end` `[n]`, scaled to the same power."""

    tones: NDArray[np.bool_]
    background: NDArray[np.float32]
    start: NDArray[np.float32]
    end: NDArray[np.float32]


def traits_of(sound: Sound, rate: int) -> Traits:
    """The traits of a sound `[n]`."""
    power = np.square(np.abs(transform(sound)[:, 2:-2]))
    quiet = np.quantile(power, QUIET_SHARE, axis=1)
    levels = 10 * np.log10(quiet + _FLOOR)
    beside = median_filter(levels, _BESIDE, mode="nearest")
    peaks = np.zeros(len(levels), np.bool_)
    peaks[1:-1] = (levels[1:-1] >= levels[:-2]) & (levels[1:-1] >= levels[2:])
    lowest = round(_LOWEST_HZ * N_FFT / rate)
    peaks &= (levels - beside >= _PROMINENCE_DB) & (np.arange(len(levels)) >= lowest)
    n = round(EDGE_S * rate)
    return Traits(peaks, _background(quiet, rate), _moment(sound[:n], n), _moment(sound[::-1][:n], n))


def _background(quiet: NDArray[np.float64], rate: int) -> NDArray[np.float32]:
    bins = np.round(bands(rate) * N_FFT / rate).astype(int)
    means = [quiet[low : max(high, low + 1)].mean() for low, high in pairwise(bins.tolist())]
    return (10 * np.log10(np.array(means) + _FLOOR)).astype(np.float32)


def _moment(sound: Sound, n: int) -> NDArray[np.float32]:
    moment = np.zeros(n, np.float32)
    moment[: len(sound)] = sound
    power = float(np.sqrt(np.mean(np.square(moment))))
    return moment / np.float32(power) if power > 1e-6 else np.zeros(n, np.float32)
