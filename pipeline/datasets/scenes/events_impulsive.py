"""Impulsive events: dog barks, clock ticks, knocks."""

from __future__ import annotations

import numpy as np

from pipeline.datasets.scenes.synthesis import (
    Signal,
    add_at,
    damped_modes,
    fade,
    harmonic_tone,
    resonances,
    shaped_noise,
    unit_rms,
)


def dog_bark(rng: np.random.Generator, n: int, sample_rate: int) -> Signal:
    """Irregular barks of 0.1-0.25 s: a hoarse voice whose pitch leaps up and falls, through two formants."""
    out = np.zeros(n)
    pitch_hz = rng.uniform(250, 650)
    size = rng.uniform(0.8, 1.3)  # a smaller dog has higher formants
    throat = resonances(
        [650 * size, 1300 * size, 2400 * size],
        [180, 300, 500],
        [1.0, rng.uniform(0.4, 0.9), rng.uniform(0.1, 0.4)],
    )
    hoarseness = rng.uniform(0.2, 0.7)
    time_s = 0.0
    while time_s * sample_rate < n:
        for _ in range(int(rng.integers(1, 4))):
            bark_n = int(rng.uniform(0.1, 0.25) * sample_rate)
            x = np.linspace(0.0, 1.0, bark_n)
            leap = rng.uniform(0.25, 0.6)
            pitch = pitch_hz * rng.uniform(0.9, 1.1) * (1.0 + leap * np.sin(np.pi * x**0.6) - 0.25 * x)
            harmonics = np.arange(1, 25) * pitch_hz
            voice = unit_rms(harmonic_tone(pitch, throat(harmonics), sample_rate))
            breath = shaped_noise(rng, bark_n, sample_rate, throat)
            envelope = fade(bark_n, sample_rate, 0.012, 0.7 * bark_n / sample_rate)
            bark = (voice + hoarseness * breath) * envelope * rng.uniform(0.6, 1.0)
            add_at(out, int(time_s * sample_rate), bark)
            time_s += bark_n / sample_rate + rng.uniform(0.04, 0.2)
        time_s += rng.uniform(0.15, 0.5)
    return out * fade(n, sample_rate, 0.002, 0.02)


def clock_tick(rng: np.random.Generator, n: int, sample_rate: int) -> Signal:
    """Ticks of a few milliseconds at 2-7 kHz, evenly spaced; tick and tock may differ."""
    out = np.zeros(n)
    period_s = rng.uniform(0.2, 0.6)
    tick_tock = [_tick(rng, sample_rate), _tick(rng, sample_rate)]
    if rng.uniform() < 0.4:
        tick_tock[1] = tick_tock[0]
    for i, start_s in enumerate(np.arange(rng.uniform(0.0, 0.05), n / sample_rate, period_s)):
        add_at(out, int(start_s * sample_rate), tick_tock[i % 2] * rng.uniform(0.9, 1.0))
    return out * fade(n, sample_rate, 0.001, 0.005)


def _tick(rng: np.random.Generator, sample_rate: int) -> Signal:
    n = int(0.06 * sample_rate)
    modes = int(rng.integers(3, 6))
    click = damped_modes(
        rng.uniform(2000, 7000, modes),
        rng.uniform(0.001, 0.005, modes),
        rng.uniform(0.4, 1.0, modes),
        n,
        sample_rate,
    )
    out = click.copy()
    # The escapement lands twice: the lock follows the impulse after about 10-25 ms.
    add_at(out, int(rng.uniform(0.01, 0.025) * sample_rate), click * rng.uniform(0.2, 0.6))
    return out


def knock(rng: np.random.Generator, n: int, sample_rate: int) -> Signal:
    """Groups of 2-5 knuckle blows on wood: modes of 90-900 Hz that decay within 15-60 ms."""
    out = np.zeros(n)
    modes = int(rng.integers(4, 8))
    frequencies = np.sort(rng.uniform(90, 900, modes))
    decays = rng.uniform(0.015, 0.06) * (frequencies[0] / frequencies) ** 0.4
    amplitudes = rng.uniform(0.3, 1.0, modes)
    blow_n = int(0.35 * sample_rate)
    body = damped_modes(frequencies, decays, amplitudes, blow_n, sample_rate)
    interval_s = rng.uniform(0.13, 0.32)
    time_s = 0.0
    while time_s * sample_rate < n:
        for _ in range(int(rng.integers(2, 6))):
            blow = body * rng.uniform(0.6, 1.0)
            contact_n = int(0.004 * sample_rate)
            contact = rng.standard_normal(contact_n) * np.linspace(1.0, 0.0, contact_n) ** 2
            blow[:contact_n] += rng.uniform(0.1, 0.4) * contact
            add_at(out, int(time_s * sample_rate), blow)
            time_s += interval_s * rng.uniform(0.9, 1.1)
        time_s += rng.uniform(0.3, 0.8)
    return out * fade(n, sample_rate, 0.001, 0.02)
