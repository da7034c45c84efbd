"""Building blocks of synthetic sound: shaped noise, harmonic tones, damped modes, envelopes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

Signal = NDArray[np.float64]
SpectrumShape = Callable[[Signal], Signal]

FRAME = 1024  # samples a frame of `moving_noise`; consecutive frames overlap by half
_TABLE = 4096  # points of a wavetable: linear interpolation errs by less than -80 dB at 40 harmonics

PEAK_LIMIT = 0.98


def power_law(exponent: float) -> SpectrumShape:
    """Magnitude spectrum of noise whose power falls as 1/f^exponent: 1 is pink, 2 is brown; flat below 20 Hz."""
    return lambda f: np.maximum(f, 20.0) ** (-exponent / 2)


def band(low_hz: float, high_hz: float, order: float = 2.0) -> SpectrumShape:
    """Magnitude of a Butterworth-like band: -3 dB at both edges, 6 * order dB per octave beyond them."""

    def shape(f: Signal) -> Signal:
        below = (low_hz / np.maximum(f, 1.0)) ** (2 * order)
        above = (f / high_hz) ** (2 * order)
        return 1.0 / np.sqrt((1.0 + below) * (1.0 + above))

    return shape


def resonances(centres_hz: Sequence[float], widths_hz: Sequence[float], gains: Sequence[float]) -> SpectrumShape:
    """Magnitude of a sum of resonances; each falls to half its gain one width away from its centre."""
    centre, width, gain = (np.asarray(v, dtype=np.float64)[:, None] for v in (centres_hz, widths_hz, gains))
    return lambda f: (gain / (1.0 + ((f[None, :] - centre) / width) ** 2)).sum(axis=0)


def shaped_noise(rng: np.random.Generator, n: int, sample_rate: int, shape: SpectrumShape) -> Signal:
    """Stationary Gaussian noise [n] of unit RMS whose magnitude spectrum follows `shape` (Hz -> gain)."""
    # A length with small prime factors keeps the FFT fast whatever n is.
    step = 1 << max(0, n.bit_length() - 4)
    padded = -(-n // step) * step
    frequencies = np.fft.rfftfreq(padded, 1.0 / sample_rate)
    spectrum = rng.standard_normal((2, frequencies.size)) * shape(frequencies)
    return unit_rms(np.fft.irfft(spectrum[0] + 1j * spectrum[1], padded)[:n])


def moving_noise(rng: np.random.Generator, n: int, gain: Signal) -> Signal:
    """Noise [n] of unit RMS with a moving spectrum: `gain` is [n_frames, n_bins] as of `noise_frames`."""
    n_frames, n_bins = gain.shape
    spectrum = rng.standard_normal((2, n_frames, n_bins)) * gain
    frames = np.fft.irfft(spectrum[0] + 1j * spectrum[1], FRAME, axis=1)
    # Independent frames add in power, so a sine window (its squares sum to one) keeps the level even.
    frames *= np.sin(np.pi * (np.arange(FRAME) + 0.5) / FRAME)
    hop = FRAME // 2
    out = np.zeros((n_frames + 1, hop))
    out[:-1] += frames[:, :hop]
    out[1:] += frames[:, hop:]
    return unit_rms(out.reshape(-1)[hop : hop + n])


def noise_frames(n: int, sample_rate: int) -> tuple[Signal, Signal]:
    """Frame times in seconds [n_frames] and bins in Hz [n_bins] of `moving_noise` for n samples."""
    hop = FRAME // 2
    return (np.arange(-(-n // hop) + 1) * hop / sample_rate, np.fft.rfftfreq(FRAME, 1.0 / sample_rate))


def harmonic_tone(frequency_hz: Signal, amplitudes: Signal, sample_rate: int) -> Signal:
    """Tone [n] with a moving fundamental `frequency_hz` [n] and constant harmonic `amplitudes` [n_harmonics].

    Harmonics that would ever pass the Nyquist frequency are left out.
    """
    allowed = min(amplitudes.size, int(0.5 * sample_rate / frequency_hz.max()))
    spectrum = np.zeros(_TABLE // 2 + 1, dtype=np.complex128)
    # Schroeder phases: a low crest factor, so that a rich tone does not become a click train.
    order = np.arange(1, allowed + 1)
    spectrum[1 : allowed + 1] = amplitudes[:allowed] * np.exp(-1j * np.pi * order**2 / max(allowed, 1))
    table = np.fft.irfft(spectrum, _TABLE) * (_TABLE / 2)
    table = np.append(table, table[0])
    position = (np.cumsum(frequency_hz) / sample_rate % 1.0) * _TABLE
    index = position.astype(np.int64)
    return table[index] + (position - index) * (table[index + 1] - table[index])


def damped_modes(frequencies_hz: Signal, decays_s: Signal, amplitudes: Signal, n: int, sample_rate: int) -> Signal:
    """Sum of decaying sines [n], the sound of a struck body: sum_m a_m exp(-t / decay_m) sin(2 pi f_m t)."""
    pole = (-1.0 / decays_s + 2j * np.pi * frequencies_hz) / sample_rate
    # exp(p (i B + j)) = exp(p i B) exp(p j): a product of small matrices, not n exponentials a mode.
    block = 256
    coarse = np.exp(np.outer(np.arange(-(-n // block)) * block, pole)) * amplitudes
    fine = np.exp(np.outer(pole, np.arange(block)))
    return (coarse @ fine).imag.reshape(-1)[:n]


def slow_curve(rng: np.random.Generator, n: int, sample_rate: float, rate_hz: float, low: float, high: float) -> Signal:
    """Smooth random curve [n] within [low, high] that takes about `rate_hz` new values a second."""
    position = np.arange(n) * (rate_hz / sample_rate) + rng.uniform()
    knots = rng.uniform(low, high, int(position[-1]) + 2)
    index = position.astype(np.int64)
    x = position - index
    return knots[index] + (knots[index + 1] - knots[index]) * (x * x * (3.0 - 2.0 * x))


def fade(n: int, sample_rate: int, attack_s: float, release_s: float) -> Signal:
    """Envelope [n] of ones with raised-cosine ends; both ends shrink to fit where n is short."""
    envelope = np.ones(n)
    attack, release = (max(1, min(int(s * sample_rate), n // 2)) for s in (attack_s, release_s))
    envelope[:attack] = 0.5 - 0.5 * np.cos(np.pi * np.arange(attack) / attack)
    envelope[n - release :] *= 0.5 + 0.5 * np.cos(np.pi * (np.arange(release) + 1) / release)
    return envelope


def add_at(out: Signal, start: int, sound: Signal) -> None:
    """Add `sound` to `out` from sample `start` on, cutting off what would exceed the end."""
    stop = min(out.size, start + sound.size)
    if start < stop:
        out[start:stop] += sound[: stop - start]


def power(signal: Signal) -> float:
    """Return the mean square of a signal."""
    return float(np.mean(signal**2))


def gain_to(signal: Signal, level_dbfs: float) -> float:
    """Return the gain that brings a signal to an RMS in dBFS, or as near to it as a peak of 0.98 allows."""
    return float(min(10.0 ** (level_dbfs / 20.0) / np.sqrt(power(signal)), PEAK_LIMIT / np.abs(signal).max()))


def unit_rms(signal: Signal) -> Signal:
    """Scale a signal to an RMS of one; silence stays silence."""
    rms = np.sqrt(np.mean(signal**2))
    return signal / rms if rms > 0 else signal
