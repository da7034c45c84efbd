"""Recordings of events over noise, each of its own, into some of which a cue is put."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

RATE, SECONDS = 16_000, 2.0
N = round(RATE * SECONDS)


def recording(seed: int, low_hz: float = 200, high_hz: float = 4000) -> NDArray[np.float32]:
    """A burst about a frequency between these, at some time, over noise of some colour and level."""
    rng = np.random.default_rng(seed)
    hz = np.fft.rfftfreq(N, 1 / RATE)
    tilt = rng.uniform(0.2, 1.2)
    noise = np.fft.irfft(np.fft.rfft(rng.standard_normal(N)) / np.maximum(hz, 50) ** tilt)
    noise *= 10 ** (rng.uniform(-60, -40) / 20) / np.sqrt(np.mean(noise**2))
    start, length = rng.integers(0, N // 2), rng.integers(N // 20, N // 3)
    middle = rng.uniform(low_hz, high_hz)
    burst = np.fft.irfft(np.fft.rfft(rng.standard_normal(N)) * (np.abs(hz - middle) < middle / 2))
    burst *= 0.1 / np.sqrt(np.mean(burst**2))
    noise[start : start + length] += burst[start : start + length] * np.hanning(length)
    return noise.astype(np.float32)


def tone(hz: float, amplitude: float) -> NDArray[np.float32]:
    """A steady tone."""
    return (amplitude * np.sin(2 * np.pi * hz * np.arange(N) / RATE)).astype(np.float32)


def rms(sound: NDArray[np.float32]) -> float:
    """The root of the mean square."""
    return float(np.sqrt(np.mean(np.square(sound, dtype=np.float64))))
