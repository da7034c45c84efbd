"""Signal measures of a window's sound: silence, gaps, where its spectrum ends, noise floor, level by band."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from pipeline.audio.level import FLOOR_DBFS, level_dbfs
from pipeline.audio.pcm import to_pcm

# Spans of 10 ms below this level are silence.
SILENCE_DBFS, _SPAN_S = -60.0, 0.01
# A gap lies below the first amplitude; the sound right before and after it lies above the second.
_GAP, _SOUND, _EDGE_S, _MIN_GAP_S = 1e-4, 1e-3, 0.005, 0.005
_FLOOR_SPAN_S, _FLOOR_SHARE = 0.05, 0.1
_N_FFT = 2048
# A spectrum ends where it falls by _DROP_DB within _DROP_HZ, and stays below; _JOINED bins are joined to a band.
_DROP_DB, _DROP_HZ, _JOINED = 20.0, 1000.0, 8
# A bin below this is empty: the rounding to 16 bits lies lower, and ends at a resampler's edge by itself.
_EMPTY_DBFS = -125.0
# A sound's own steep slope is no end: beyond an end, a filter's slope away, all bands lie _BELOW_DB below the loudest.
_SLOPE, _BELOW_DB = 1.1, 45.0


@dataclass(frozen=True)
class SignalMeasures:
    """Measures of a window's sound; named as in the table `predictions`."""

    level_dbfs: float
    clipped: float
    dc_offset: float
    silence: float
    dropout_s: float
    bandwidth_hz: float | None
    noise_floor_dbfs: float
    band_levels_dbfs: tuple[float, ...]
    sound_sha256: str


def measure_signal(
    sound: NDArray[np.float32], sample_rate: int, edges_hz: tuple[float, ...], clipped: int = 0
) -> SignalMeasures:
    """Measure the sound `[n]` of a window at `sample_rate` in Hz; `clipped` is the number of its clipped samples.

    `edges_hz` are the edges of the bands whose levels are measured, one more than there are bands.
    """
    frames = _power(sound)
    return SignalMeasures(
        level_dbfs=level_dbfs(sound),
        clipped=clipped / max(1, len(sound)),
        dc_offset=float(sound.mean(dtype=np.float64)) if len(sound) else 0.0,
        silence=_silence(sound, sample_rate),
        dropout_s=_longest_gap(sound, sample_rate) / sample_rate,
        bandwidth_hz=_bandwidth(frames, sample_rate),
        noise_floor_dbfs=_noise_floor(sound, sample_rate),
        band_levels_dbfs=tuple(
            _decibels(_bands(sample_rate, edges_hz) @ frames.mean(axis=0, dtype=np.float64)).tolist()
        ),
        sound_sha256=hashlib.sha256(to_pcm(sound).astype("<i2").tobytes()).hexdigest(),
    )


def _levels(sound: NDArray[np.float32], span: int) -> NDArray[np.float32]:
    """Return the level in dBFS of each span of `span` samples; the rest after the last whole one is a span too."""
    whole = len(sound) // span * span
    powers = np.square(sound[:whole].reshape(-1, span)).mean(axis=1)
    if whole < len(sound):
        powers = np.append(powers, np.square(sound[whole:]).mean())
    return _decibels(powers)


def _silence(sound: NDArray[np.float32], sample_rate: int) -> float:
    levels = _levels(sound, max(1, round(_SPAN_S * sample_rate)))
    return float((levels < SILENCE_DBFS).mean()) if len(levels) else 1.0


def _noise_floor(sound: NDArray[np.float32], sample_rate: int) -> float:
    levels = _levels(sound, max(1, round(_FLOOR_SPAN_S * sample_rate)))
    return float(np.sort(levels)[int(_FLOOR_SHARE * len(levels))]) if len(levels) else FLOOR_DBFS


def _longest_gap(sound: NDArray[np.float32], sample_rate: int) -> int:
    """Return the length in samples of the longest stretch without signal that begins and ends in sound."""
    bounds = np.flatnonzero(np.diff(np.concatenate([[True], np.abs(sound) >= _GAP, [True]])))
    begins, ends = bounds[::2], bounds[1::2]
    long = ends - begins >= max(1, round(_MIN_GAP_S * sample_rate))
    edge = max(1, round(_EDGE_S * sample_rate))
    longest = 0
    for begin, end in zip(begins[long].tolist(), ends[long].tolist(), strict=True):
        before, behind = sound[max(0, begin - edge) : begin], sound[end : end + edge]
        if len(before) and len(behind) and min(_rms(before), _rms(behind)) >= _SOUND:
            longest = max(longest, end - begin)
    return longest


def _rms(sound: NDArray[np.float32]) -> float:
    return math.sqrt(float(np.mean(np.square(sound, dtype=np.float64))))


def _power(sound: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the power in each frame and bin `[frames, n_fft / 2 + 1]`; the bins of a frame sum to its power."""
    missing = -len(sound) % _N_FFT
    if missing or not len(sound):
        sound = np.concatenate([sound, np.zeros(missing or _N_FFT, np.float32)])
    spectrum = scipy.fft.rfft(sound.reshape(-1, _N_FFT) * _window())
    power = np.square(spectrum.real) + np.square(spectrum.imag)
    power[:, 1:-1] *= 2
    scaled: NDArray[np.float32] = power / np.float32(_N_FFT * np.square(_window()).sum())
    return scaled


@lru_cache(maxsize=1)
def _window() -> NDArray[np.float32]:
    # Its side lobes lie far below any drop of interest.
    return np.blackman(_N_FFT).astype(np.float32)


@lru_cache(maxsize=4)
def _bands(sample_rate: int, edges_hz: tuple[float, ...]) -> NDArray[np.float64]:
    """Return the share `[bands, bins]` of each bin in each band: a bin extends half a bin to both sides."""
    step = sample_rate / _N_FFT
    centres = np.arange(_N_FFT // 2 + 1) * step
    low, high = np.asarray(edges_hz[:-1])[:, None], np.asarray(edges_hz[1:])[:, None]
    overlap = np.minimum(high, centres + step / 2) - np.maximum(low, centres - step / 2)
    return np.clip(overlap / step, 0, 1)


def _bandwidth(frames: NDArray[np.float32], sample_rate: int) -> float | None:
    """Return the Hz where the spectrum ends: half the sample rate, or where it falls steeply with nothing above.

    The end is searched in the quieter half of the frames that are not silent: an end in loud frames alone is that of
    the event. Above it, on the mean of all these frames, every band must lie 45 dB below the loudest.
    """
    heard = frames[frames.sum(axis=1) > 10 ** (SILENCE_DBFS / 10)]
    if not len(heard):
        return None
    step = _JOINED * sample_rate / _N_FFT
    joined = heard[:, :-1].reshape(len(heard), -1, _JOINED).mean(axis=2)
    levels = _decibels(np.median(joined, axis=0), floor=_EMPTY_DBFS).astype(np.float64)
    reach = max(1, round(_DROP_HZ / step))
    # The highest level at or above each band.
    above = np.maximum.accumulate(levels[::-1])[::-1]
    falls = levels[:-reach] - above[reach:] >= _DROP_DB
    if not falls.any():
        return sample_rate / 2
    # The upper end of the steep slope: where the level is halfway down.
    last = int(np.flatnonzero(falls)[-1])
    ends = last + reach
    halfway = (levels[last] + above[ends]) / 2
    end = float((last + 1 + np.flatnonzero(levels[last : ends + 1] >= halfway)[-1]) * step)
    whole = _decibels(joined.mean(axis=0, dtype=np.float64), floor=-np.inf)
    behind = whole[math.ceil(_SLOPE * end / step) :]
    # If no band lies above it, the end itself is all that is known.
    nothing = behind.max(initial=-np.inf) <= whole.max() - _BELOW_DB
    return end if nothing else sample_rate / 2


def _decibels(power: NDArray[np.float64], floor: float = FLOOR_DBFS) -> NDArray[np.float32]:
    return np.maximum(10 * np.log10(np.maximum(power, 1e-30)), floor).astype(np.float32)
