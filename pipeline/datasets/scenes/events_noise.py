"""Sustained events without a pitch: rain, wind."""

from __future__ import annotations

import numpy as np

from pipeline.datasets.scenes.synthesis import (
    Signal,
    band,
    fade,
    moving_noise,
    noise_frames,
    shaped_noise,
    slow_curve,
    unit_rms,
)


def rain(rng: np.random.Generator, n: int, sample_rate: int) -> Signal:
    """Droplets, 500-3000 a second, each a click of 1-8 kHz that rings for 1 ms, over a faint hiss."""
    drop_n = int(0.006 * sample_rate)
    kinds = 48
    t = np.arange(drop_n) / sample_rate
    pitch = rng.uniform(1000, 8000, (kinds, 1))
    decay = rng.uniform(0.0004, 0.0015, (kinds, 1))
    drops = np.exp(-t / decay) * np.sin(2 * np.pi * pitch * t)
    count = max(1, rng.poisson(rng.uniform(500, 3000) * n / sample_rate))
    starts = rng.integers(0, n, count)
    # Most drops are far, a few are near: log-normal loudness makes it patter instead of hiss.
    loudness = rng.lognormal(0.0, rng.uniform(0.5, 0.9), count)
    samples = (starts[:, None] + np.arange(drop_n)).reshape(-1)
    weights = (drops[rng.integers(0, kinds, count)] * loudness[:, None]).reshape(-1)
    patter = unit_rms(np.bincount(samples, weights, minlength=n)[:n].astype(np.float64))
    hiss = shaped_noise(rng, n, sample_rate, band(1000, 8000))
    envelope = fade(n, sample_rate, rng.uniform(0.1, 0.4), rng.uniform(0.1, 0.4))
    return (patter + rng.uniform(0.2, 0.5) * hiss) * envelope


def wind(rng: np.random.Generator, n: int, sample_rate: int) -> Signal:
    """Gusts: low noise whose level swells and whose whistling resonance wanders within 200-800 Hz."""
    times, frequencies = noise_frames(n, sample_rate)
    frame_rate = 1.0 / (times[1] - times[0])
    gust = slow_curve(rng, times.size, frame_rate, rng.uniform(0.8, 2.5), 0.1, 1.0)[:, None]
    wander = slow_curve(rng, times.size, frame_rate, rng.uniform(0.8, 2.0), 0.0, 0.5)[:, None]
    # A stronger gust whistles higher.
    centre = 200.0 + 600.0 * np.clip(wander + 0.5 * gust, 0.0, 1.0)
    width = rng.uniform(0.12, 0.3) * centre
    whistle = 1.0 / (1.0 + ((frequencies - centre) / width) ** 2)
    rumble = rng.uniform(0.1, 0.3) * band(80, 600)(frequencies)
    envelope = fade(n, sample_rate, rng.uniform(0.15, 0.5), rng.uniform(0.15, 0.5))
    return moving_noise(rng, n, gust * (whistle + rumble)) * envelope
