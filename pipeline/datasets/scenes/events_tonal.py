"""Tonal events: siren, alarm beeps, bird chirps, bell, engine."""

from __future__ import annotations

import numpy as np

from pipeline.datasets.scenes.synthesis import (
    Signal,
    add_at,
    band,
    damped_modes,
    fade,
    harmonic_tone,
    resonances,
    shaped_noise,
    slow_curve,
    unit_rms,
)


def siren(rng: np.random.Generator, n: int, sample_rate: int) -> Signal:
    """A pitch that sweeps (wail, yelp) or alternates (two-tone) from 400-900 Hz to 1.35-2.3 times that."""
    low = rng.uniform(400, 900)
    high = low * rng.uniform(1.35, 2.3)
    pattern = rng.choice(["wail", "yelp", "two_tone"])
    period_s = {
        "wail": rng.uniform(1.2, 3.0),
        "yelp": rng.uniform(0.2, 0.5),
        "two_tone": rng.uniform(0.6, 1.2),
    }
    cycle = (np.arange(n) / sample_rate / period_s[pattern] + rng.uniform()) % 1.0
    position = 0.5 - 0.5 * np.cos(2 * np.pi * cycle)
    if pattern == "two_tone":
        position = 1.0 / (1.0 + np.exp(-60.0 * (position - 0.5)))  # two steady pitches, a quick glide between
    frequency = low * (high / low) ** position
    amplitudes = np.arange(1, 9) ** -rng.uniform(1.0, 2.2)
    return harmonic_tone(frequency, amplitudes, sample_rate) * fade(n, sample_rate, 0.1, 0.2)


def alarm_beep(rng: np.random.Generator, n: int, sample_rate: int) -> Signal:
    """One steady pitch of 1.5-4 kHz, keyed on and off in equal beeps, singly or in groups of up to four."""
    frequency = np.full(n, rng.uniform(1500, 4000))
    amplitudes = np.array([1.0, 0.0, rng.uniform(0.0, 0.2)])  # a piezo sounder: a sine and a little third harmonic
    beep_s = rng.uniform(0.06, 0.2)
    gap_s = beep_s * rng.uniform(0.6, 1.2)
    group = int(rng.integers(1, 5))
    pause_s = rng.uniform(0.15, 0.4)
    cycle = np.arange(n) / sample_rate % (group * (beep_s + gap_s) + pause_s)
    keyed = (cycle < group * (beep_s + gap_s)) & (cycle % (beep_s + gap_s) < beep_s)
    # Keying without an edge would click over the whole spectrum: 3 ms of moving average.
    edge = np.ones(int(0.003 * sample_rate) + 1)
    total = np.cumsum(np.pad(keyed.astype(np.float64), (edge.size, 0)))
    envelope = (total[edge.size :] - total[: -edge.size]) / edge.size
    return harmonic_tone(frequency, amplitudes, sample_rate) * envelope * fade(n, sample_rate, 0.003, 0.005)


def bird_chirp(rng: np.random.Generator, n: int, sample_rate: int) -> Signal:
    """Phrases of short whistled sweeps between 2 and 8 kHz; a bird repeats its own syllables."""
    out = np.zeros(n)
    syllables = [_syllable(rng, sample_rate) for _ in range(int(rng.integers(1, 4)))]
    tempo_s = rng.uniform(0.02, 0.12)
    time_s = 0.0
    while time_s * sample_rate < n:
        for _ in range(int(rng.integers(2, 8))):
            syllable = syllables[int(rng.integers(len(syllables)))]
            add_at(out, int(time_s * sample_rate), syllable * rng.uniform(0.6, 1.0))
            time_s += syllable.size / sample_rate + tempo_s * rng.uniform(0.8, 1.2)
        time_s += rng.uniform(0.1, 0.5)
    return out * fade(n, sample_rate, 0.002, 0.02)


def _syllable(rng: np.random.Generator, sample_rate: int) -> Signal:
    n = int(rng.uniform(0.04, 0.18) * sample_rate)
    x = np.linspace(0.0, 1.0, n)
    start, end = rng.uniform(2200, 6500, 2)
    arch = rng.uniform(-800, 1200) * np.sin(np.pi * x)
    trill = rng.uniform(0, 400) * np.sin(2 * np.pi * rng.uniform(25, 60) * x * n / sample_rate)
    frequency = np.clip(start + (end - start) * x + arch + trill, 1800, 8000)
    tone = harmonic_tone(frequency, np.array([1.0, rng.uniform(0.0, 0.15)]), sample_rate)
    return tone * fade(n, sample_rate, 0.4 * n / sample_rate, 0.5 * n / sample_rate)


def bell(rng: np.random.Generator, n: int, sample_rate: int) -> Signal:
    """Strikes of a bell: the inharmonic partials hum, prime, tierce, quint, nominal and above, ringing on."""
    ratios = np.array([0.5, 1.0, 1.2, 1.5, 2.0, 2.52, 2.66, 3.01, 4.07, 5.2])
    ratios = ratios * rng.uniform(0.99, 1.01, ratios.size)
    prime_hz = rng.uniform(300, 1100)
    ring_s = rng.uniform(0.4, 1.8)
    decays = ring_s / np.sqrt(ratios)  # high partials decay first
    amplitudes = rng.uniform(0.3, 1.0, ratios.size) / ratios**0.4
    strike = damped_modes(prime_hz * ratios, decays, amplitudes, n, sample_rate)
    strike *= fade(n, sample_rate, 0.001, 0.001)
    out = np.zeros(n)
    interval_s = rng.uniform(0.45, 1.6)
    for start_s in np.arange(0.0, n / sample_rate, interval_s):
        add_at(out, int(start_s * sample_rate), strike * rng.uniform(0.7, 1.0))
    return out * fade(n, sample_rate, 0.001, 0.05)


def engine(rng: np.random.Generator, n: int, sample_rate: int) -> Signal:
    """Firing pulses at 35-110 Hz that drift and rev, through exhaust resonances, with combustion noise."""
    idle_hz = rng.uniform(35, 80)
    rev = slow_curve(rng, n, sample_rate, rng.uniform(0.5, 1.5), 1.0, rng.uniform(1.05, 1.7))
    wobble = slow_curve(rng, n, sample_rate, 14.0, 0.98, 1.02)
    firing_hz = idle_hz * rev * wobble
    exhaust = resonances(
        [rng.uniform(90, 180), rng.uniform(250, 450), rng.uniform(600, 1200)],
        [70, 120, 300],
        [1.0, 0.7, 0.35],
    )
    # Twice as many lines as the firing rate has harmonics: cylinders differ, so half orders sound too.
    lines = np.arange(1, 64) * 0.5 * idle_hz
    uneven = np.where(np.arange(1, 64) % 2 == 0, 1.0, rng.uniform(0.1, 0.5))
    tone = unit_rms(harmonic_tone(0.5 * firing_hz, exhaust(lines) * uneven, sample_rate))
    combustion = shaped_noise(rng, n, sample_rate, band(150, 1800))
    pulses = 0.5 + 0.5 * np.cos(2 * np.pi * np.cumsum(firing_hz) / sample_rate)
    roughness = rng.uniform(0.15, 0.45)
    return (tone + roughness * combustion * pulses**2) * fade(n, sample_rate, 0.15, 0.25)
