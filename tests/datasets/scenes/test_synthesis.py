"""The building blocks do to a spectrum what they say."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.datasets.scenes import synthesis
from pipeline.datasets.scenes.synthesis import (
    band,
    damped_modes,
    fade,
    harmonic_tone,
    moving_noise,
    noise_frames,
    power_law,
    resonances,
    shaped_noise,
    slow_curve,
)

RATE = 32000


def power_in(signal: np.ndarray, low_hz: float, high_hz: float) -> float:
    power = np.abs(np.fft.rfft(signal)) ** 2
    frequencies = np.fft.rfftfreq(signal.size, 1 / RATE)
    return float(power[(frequencies >= low_hz) & (frequencies < high_hz)].sum())


@pytest.mark.parametrize(("exponent", "drop_db"), [(0.0, 0.0), (1.0, 3.0), (2.0, 6.0)])
def test_coloured_noise_falls_by_its_slope_per_octave(exponent: float, drop_db: float) -> None:
    noise = shaped_noise(np.random.default_rng(0), 10 * RATE, RATE, power_law(exponent))
    octaves = [power_in(noise, low, 2 * low) / low for low in (250, 500, 1000, 2000, 4000)]  # per Hz
    drops = -10 * np.diff(np.log10(octaves))
    assert drops == pytest.approx([drop_db] * 4, abs=0.5)


def test_band_is_3_db_down_at_its_edges_and_steep_beyond() -> None:
    gain_db = 20 * np.log10(band(500, 4000, order=2)(np.array([250.0, 500, 1400, 4000, 8000])))
    assert gain_db[[1, 3]] == pytest.approx([-3.0, -3.0], abs=0.1)
    assert gain_db[2] == pytest.approx(0.0, abs=0.2)
    assert gain_db[[0, 4]] == pytest.approx([-12.3, -12.3], abs=0.3)


def test_resonances_peak_where_they_are_centred() -> None:
    f = np.arange(0.0, 4000.0)
    gain = resonances([700, 2500], [50, 50], [1.0, 0.5])(f)
    assert int(gain.argmax()) == 700
    assert gain[2500] == pytest.approx(0.5, rel=0.01)


@pytest.mark.parametrize("n", [1000, 31999, 32003])
def test_shaped_noise_has_the_length_and_level_asked_for(n: int) -> None:
    noise = shaped_noise(np.random.default_rng(1), n, RATE, power_law(1.0))
    assert noise.shape == (n,)
    assert np.sqrt(np.mean(noise**2)) == pytest.approx(1.0)


def test_moving_noise_follows_its_spectrum_in_time() -> None:
    times, frequencies = noise_frames(4 * RATE, RATE)
    low, high = band(200, 600, order=4)(frequencies), band(3000, 6000, order=4)(frequencies)
    low_then_high = np.where(times[:, None] < 2.0, low, high)
    noise = moving_noise(np.random.default_rng(2), 4 * RATE, low_then_high)
    first, second = noise[: 2 * RATE], noise[2 * RATE :]
    assert noise.shape == (4 * RATE,)
    assert power_in(first, 0, 1500) > 20 * power_in(first, 1500, 16000)
    assert power_in(second, 1500, 16000) > 20 * power_in(second, 0, 1500)


def test_moving_noise_of_a_still_spectrum_keeps_an_even_level() -> None:
    times, frequencies = noise_frames(20 * RATE, RATE)
    noise = moving_noise(np.random.default_rng(3), 20 * RATE, np.ones((times.size, frequencies.size)))
    hop = synthesis.FRAME // 2
    power = np.mean(noise[: noise.size // hop * hop].reshape(-1, hop) ** 2, axis=0)
    assert power.max() / power.min() < 1.6  # a window that did not add up in power would swing by more


def test_harmonic_tone_has_its_harmonics_and_nothing_between() -> None:
    tone = harmonic_tone(np.full(RATE, 440.0), np.array([1.0, 0.0, 0.5]), RATE)
    spectrum = np.abs(np.fft.rfft(tone)) / (RATE / 2)
    assert spectrum[[440, 880, 1320]] == pytest.approx([1.0, 0.0, 0.5], abs=2e-3)
    spectrum[[440, 1320]] = 0
    assert spectrum.max() < 10 ** (-70 / 20)


def test_harmonics_above_nyquist_do_not_alias() -> None:
    tone = harmonic_tone(np.full(RATE, 7000.0), np.ones(10), RATE)
    spectrum = np.abs(np.fft.rfft(tone)) / (RATE / 2)
    assert set(np.flatnonzero(spectrum > 0.01)) == {7000, 14000}


def test_damped_modes_equal_the_sum_of_their_formula() -> None:
    t = np.arange(1000) / RATE
    formula = np.exp(-t / 0.01) * np.sin(2 * np.pi * 500 * t) + 0.5 * np.exp(-t / 0.002) * np.sin(2 * np.pi * 3000 * t)
    modes = damped_modes(np.array([500.0, 3000.0]), np.array([0.01, 0.002]), np.array([1.0, 0.5]), 1000, RATE)
    assert modes == pytest.approx(formula, abs=1e-9)


def test_slow_curve_stays_within_its_bounds_and_moves_slowly() -> None:
    curve = slow_curve(np.random.default_rng(4), 5 * RATE, RATE, 2.0, -1.0, 3.0)
    assert curve.min() >= -1.0
    assert curve.max() <= 3.0
    # A smooth step over 4 within half a second is never steeper than 1.5 times its mean slope.
    assert np.abs(np.diff(curve)).max() <= 1.5 * 4 * 2.0 / RATE + 1e-12


@pytest.mark.parametrize("n", [10, 1000, 20000])
def test_fade_starts_and_ends_in_silence(n: int) -> None:
    envelope = fade(n, RATE, 0.1, 0.2)
    assert envelope[0] == pytest.approx(0.0)
    assert envelope[-1] == pytest.approx(0.0, abs=1e-6)
    assert envelope.max() <= 1.0
