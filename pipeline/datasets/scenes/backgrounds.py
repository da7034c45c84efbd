"""Backgrounds: steady sounds behind an event, none of them synthesised as an event is."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from pipeline.datasets.scenes.synthesis import (
    Signal,
    band,
    harmonic_tone,
    moving_noise,
    noise_frames,
    power_law,
    shaped_noise,
    slow_curve,
    unit_rms,
)

Synthesiser = Callable[[np.random.Generator, int, int], Signal]


def pink_noise(rng: np.random.Generator, n: int, sample_rate: int) -> Signal:
    """Steady noise over the whole band, its power falling by 2-4 dB an octave."""
    return shaped_noise(rng, n, sample_rate, power_law(rng.uniform(0.7, 1.3)))


def mains_hum(rng: np.random.Generator, n: int, sample_rate: int) -> Signal:
    """Brown noise and the steady harmonics of 50 or 60 Hz, as near a transformer."""
    mains_hz = np.full(n, rng.choice([50.0, 60.0]))
    amplitudes = rng.uniform(0.2, 1.0, 10) / np.arange(1, 11)
    tone = unit_rms(harmonic_tone(mains_hz, amplitudes, sample_rate))
    return tone + rng.uniform(0.5, 1.5) * shaped_noise(rng, n, sample_rate, power_law(2.0))


def babble(rng: np.random.Generator, n: int, sample_rate: int) -> Signal:
    """Many voices at once without words: three speech bands, each modulated independently at 3-6 Hz."""
    times, frequencies = noise_frames(n, sample_rate)
    frame_rate = 1.0 / (times[1] - times[0])
    gain = np.zeros((times.size, frequencies.size))
    for low_hz, high_hz, level in ((120, 400, 1.0), (450, 1100, 0.8), (1400, 3400, 0.35)):
        syllables = slow_curve(rng, times.size, frame_rate, rng.uniform(6, 12), 0.25, 1.0)
        gain += level * syllables[:, None] * band(low_hz, high_hz, 3.0)(frequencies)
    return moving_noise(rng, n, gain)


def room_tone(rng: np.random.Generator, n: int, sample_rate: int) -> Signal:
    """A quiet room: ventilation below 150 Hz and the flat hiss of a microphone."""
    ventilation = shaped_noise(rng, n, sample_rate, band(30, 150, 1.5))
    hiss = shaped_noise(rng, n, sample_rate, power_law(0.0))
    return ventilation + rng.uniform(0.3, 1.0) * hiss


def traffic(rng: np.random.Generator, n: int, sample_rate: int) -> Signal:
    """A distant road: rumble of 30-180 Hz, and tyre noise around 1 kHz that swells slowly as cars pass."""
    rumble = shaped_noise(rng, n, sample_rate, band(30, 180, 1.5))
    tyres = shaped_noise(rng, n, sample_rate, band(600, 1800, 1.0))
    passing = slow_curve(rng, n, sample_rate, 0.6, 0.2, 1.0)
    return rumble * (0.7 + 0.3 * passing) + rng.uniform(0.2, 0.5) * tyres * passing


BACKGROUND_SYNTHESISERS: dict[str, Synthesiser] = {
    "pink_noise": pink_noise,
    "mains_hum": mains_hum,
    "babble": babble,
    "room_tone": room_tone,
    "traffic": traffic,
}
