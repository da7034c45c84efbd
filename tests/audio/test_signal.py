"""A window's measures are those of what was done to its sound."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.signal import butter, ellip, resample, sosfiltfilt

from pipeline.audio.level import FLOOR_DBFS
from pipeline.audio.signal import SignalMeasures, measure_signal

RATE = 32_000
EDGES = tuple(np.linspace(0, 16_000, 65).tolist())
NOISE: NDArray[np.float32] = np.random.default_rng(0).standard_normal(5 * RATE).astype(np.float32) * np.float32(0.1)


def measured(sound: NDArray[np.float32], rate: int = RATE) -> SignalMeasures:
    return measure_signal(sound.astype(np.float32), rate, EDGES)


def test_noise_has_nothing_wrong_with_it() -> None:
    found = measured(NOISE)
    assert found.dc_offset == pytest.approx(0, abs=1e-3)
    assert (found.silence, found.dropout_s, found.bandwidth_hz) == (0.0, 0.0, RATE / 2)
    assert found.noise_floor_dbfs == pytest.approx(-20, abs=0.5) == found.level_dbfs


def test_silence_is_silence() -> None:
    found = measured(np.zeros(RATE, np.float32))
    assert (found.silence, found.dropout_s, found.bandwidth_hz, found.noise_floor_dbfs) == (1, 0, None, FLOOR_DBFS)
    assert set(found.band_levels_dbfs) == {FLOOR_DBFS}
    half = measured(np.where(np.arange(len(NOISE)) < len(NOISE) // 2, NOISE, 0))
    assert half.silence == pytest.approx(0.5, abs=0.01)
    assert half.noise_floor_dbfs == FLOOR_DBFS


def test_an_offset_is_measured() -> None:
    assert measured(NOISE + np.float32(0.05)).dc_offset == pytest.approx(0.05, abs=1e-3)


@pytest.mark.parametrize("gap_s", [0.01, 0.1, 0.5])
def test_the_longest_gap_is_found(gap_s: float) -> None:
    sound = NOISE.copy()
    sound[RATE : RATE + round(gap_s * RATE)] = 0
    sound[3 * RATE : 3 * RATE + round(0.006 * RATE)] = 0
    assert measured(sound).dropout_s == pytest.approx(gap_s, abs=0.001)


def test_silence_at_the_ends_and_pauses_are_no_gaps() -> None:
    fade = np.concatenate([np.linspace(1, 0, RATE), np.zeros(RATE), np.linspace(0, 1, RATE)])
    assert measured(NOISE[: 3 * RATE] * fade).dropout_s == 0
    assert measured(np.concatenate([np.zeros(RATE), NOISE, np.zeros(RATE)])).dropout_s == 0


@pytest.mark.parametrize("cutoff", [2000, 4000, 6000, 11_025])
def test_a_steep_low_pass_is_where_the_spectrum_ends(cutoff: int) -> None:
    low = sosfiltfilt(ellip(10, 0.1, 60, cutoff, fs=RATE, output="sos"), NOISE)
    assert measured(low).bandwidth_hz == pytest.approx(cutoff, abs=300)


@pytest.mark.parametrize("rate", [8000, 16_000])
def test_sound_that_was_upsampled_ends_where_its_old_rate_did(rate: int) -> None:
    upsampled = resample(NOISE[:: RATE // rate], len(NOISE))
    assert measured(upsampled).bandwidth_hz == pytest.approx(rate / 2, abs=400)


def test_a_spectrum_that_falls_gently_does_not_end() -> None:
    pink = np.fft.irfft(np.fft.rfft(NOISE) / np.sqrt(np.maximum(np.arange(len(NOISE) // 2 + 1), 1)))
    assert measured(pink / np.abs(pink).max()).bandwidth_hz == RATE / 2
    gentle = sosfiltfilt(butter(1, 3000, fs=RATE, output="sos"), NOISE)
    ends = measured(gentle).bandwidth_hz
    assert ends is not None
    assert ends > 0.45 * RATE  # at half the sample rate such a filter has a zero


def test_a_steep_slope_with_sound_behind_it_is_no_end() -> None:
    low = sosfiltfilt(ellip(10, 0.1, 60, 3000, fs=RATE, output="sos"), NOISE)
    assert measured(low + 0.03 * NOISE).bandwidth_hz == RATE / 2
    # Sound behind it for a tenth of the time, too.
    assert measured(np.where(np.arange(len(NOISE)) < len(NOISE) // 10, NOISE, low)).bandwidth_hz == RATE / 2
    # A rustle 70 dB below is nothing, and so is any of a recording that is not soft.
    assert measured(low + 0.0003 * NOISE).bandwidth_hz == pytest.approx(3000, abs=300)
    assert measured(0.03 * low + 1e-5 * NOISE).bandwidth_hz == pytest.approx(3000, abs=300)


def test_a_tone_lies_in_its_band_with_its_level() -> None:
    tone = 0.5 * np.sin(2 * np.pi * 1100 * np.arange(RATE) / RATE)
    levels = np.array(measured(tone).band_levels_dbfs)
    assert int(levels.argmax()) == 4  # 1000 to 1250 Hz
    assert levels.max() == pytest.approx(measured(tone).level_dbfs, abs=0.5)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 3 * RATE), st.floats(1e-5, 1.0))
def test_bands_sum_up_to_the_level(n: int, gain: float) -> None:
    sound = (np.resize(NOISE, n) * np.float32(gain)).astype(np.float32)
    found = measured(sound)
    assert 0 <= found.silence <= 1
    assert 0 <= found.dropout_s <= n / RATE
    assert found.noise_floor_dbfs >= FLOOR_DBFS
    if n > 2048 * 8 and found.level_dbfs > -80:
        assert 10 * np.log10(np.sum(10 ** (np.array(found.band_levels_dbfs) / 10))) == pytest.approx(
            found.level_dbfs, abs=1.5
        )


def test_the_digest_is_of_the_samples_on_the_16_bit_grid() -> None:
    same = measured(NOISE + np.float32(1e-7)).sound_sha256 == measured(NOISE).sound_sha256
    assert same or np.any(np.round((NOISE + np.float32(1e-7)) * 32768) != np.round(NOISE * 32768))
    assert measured(NOISE).sound_sha256 != measured(-NOISE).sound_sha256
