"""How loud a waveform is: RMS and peak in dBFS, and integrated loudness after ITU-R BS.1770-4."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

FLOOR_DBFS = -120.0

_BLOCK_S, _STEP_S = 0.4, 0.1
_ABSOLUTE_GATE_LUFS, _RELATIVE_GATE_LU = -70.0, -10.0
# The high-pass (38 Hz, critically damped) decays by more than 400 dB in this time.
_DECAY_S = 0.25
# The shelf lies at 1.7 kHz: with its corner near half the sample rate the weighting means nothing.
_MIN_RATE = 4000


def level_dbfs(waveform: NDArray[np.float32]) -> float:
    """Return the RMS level of a waveform `[n]` in dB re full scale, at least -120; a full sine has -3.01."""
    if not len(waveform):
        return FLOOR_DBFS
    return _decibels(math.sqrt(float(np.mean(np.square(waveform, dtype=np.float64)))))


def peak_dbfs(waveform: NDArray[np.float32]) -> float:
    """Return the sample peak of a waveform `[n]` in dB re full scale, at least -120."""
    return _decibels(float(np.abs(waveform).max())) if len(waveform) else FLOOR_DBFS


def loudness_lufs(waveform: NDArray[np.float32], sample_rate: int) -> float | None:
    """Return the gated integrated loudness of a mono waveform `[n]` in LUFS (ITU-R BS.1770-4, equations 2-7).

    None where it is undefined: shorter than one block of 400 ms, nothing above the absolute gate of -70 LUFS,
    or a sample rate below 4 kHz.
    """
    block, step = round(_BLOCK_S * sample_rate), round(_STEP_S * sample_rate)
    if sample_rate < _MIN_RATE or len(waveform) < block:
        return None
    energy = np.square(_k_weighted(waveform, sample_rate))
    cumulative = np.concatenate([[0.0], np.cumsum(energy)])
    starts = np.arange(0, len(waveform) - block + 1, step)
    power = np.maximum(cumulative[starts + block] - cumulative[starts], 0.0) / block

    gated = power[power > _power(_ABSOLUTE_GATE_LUFS)]
    if not len(gated):
        return None
    gated = gated[gated > gated.mean() * 10 ** (_RELATIVE_GATE_LU / 10)]
    return -0.691 + 10 * math.log10(float(gated.mean()))


def k_weighting(sample_rate: int) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Return the two biquads of K-weighting as `(b, a)`, three coefficients each, for a rate in Hz.

    The analogue prototypes behind the 48 kHz table of BS.1770-4, annex 1, mapped by the bilinear transform.
    """
    gain_db, shelf_q, shelf_hz = 3.999843853973347, 0.7071752369554196, 1681.974450955533
    k = math.tan(math.pi * shelf_hz / sample_rate)
    high = 10 ** (gain_db / 20)
    band = high**0.4996667741545416
    tilt = band * k / shelf_q
    shelf_b = np.array([high + tilt + k * k, 2 * (k * k - high), high - tilt + k * k])
    shelf_a = np.array([1 + k / shelf_q + k * k, 2 * (k * k - 1), 1 - k / shelf_q + k * k])

    pass_q, pass_hz = 0.5003270373238773, 38.13547087602444
    k = math.tan(math.pi * pass_hz / sample_rate)
    pass_a = np.array([1 + k / pass_q + k * k, 2 * (k * k - 1), 1 - k / pass_q + k * k])
    # The standard leaves the high-pass numerator at 1, -2, 1 and does not divide it by a0.
    return [(shelf_b / shelf_a[0], shelf_a / shelf_a[0]), (np.array([1.0, -2.0, 1.0]), pass_a / pass_a[0])]


def _k_weighted(waveform: NDArray[np.float32], sample_rate: int) -> NDArray[np.float64]:
    """Filter by the biquads' complex response, with room after the end for their ringing."""
    n = len(waveform)
    n_fft = 1 << (n + math.ceil(_DECAY_S * sample_rate) - 1).bit_length()
    spectrum = np.fft.rfft(waveform.astype(np.float64), n_fft)
    delay = np.exp(-2j * np.pi * np.arange(n_fft // 2 + 1) / n_fft)
    for b, a in k_weighting(sample_rate):
        spectrum *= (b[0] + delay * (b[1] + delay * b[2])) / (a[0] + delay * (a[1] + delay * a[2]))
    return np.fft.irfft(spectrum, n_fft)[:n]


def _decibels(amplitude: float) -> float:
    return max(FLOOR_DBFS, 20 * math.log10(amplitude)) if amplitude > 0 else FLOOR_DBFS


def _power(loudness: float) -> float:
    return 10 ** ((loudness + 0.691) / 10)
