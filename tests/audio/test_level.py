from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

from pipeline.audio.level import FLOOR_DBFS, k_weighting, level_dbfs, loudness_lufs, peak_dbfs
from tests.audio.make import tone


def test_a_full_scale_sine_at_997_hz_reads_minus_3_01_lufs() -> None:
    assert loudness_lufs(tone(997, 2.0, 48000, 1.0), 48000) == pytest.approx(-3.01, abs=0.02)


@pytest.mark.parametrize("sample_rate", [8000, 16000, 22050, 44100, 96000])
def test_loudness_hardly_depends_on_the_rate(sample_rate: int) -> None:
    assert loudness_lufs(tone(997, 2.0, sample_rate, 1.0), sample_rate) == pytest.approx(-3.01, abs=0.1)


def test_half_the_amplitude_is_6_02_db_less_on_every_scale() -> None:
    full, half = tone(997, 2.0, 48000, 1.0), tone(997, 2.0, 48000, 0.5)
    assert loudness_lufs(full, 48000) - loudness_lufs(half, 48000) == pytest.approx(6.02, abs=0.01)
    assert level_dbfs(full) - level_dbfs(half) == pytest.approx(6.02, abs=0.01)
    assert peak_dbfs(full) - peak_dbfs(half) == pytest.approx(6.02, abs=0.01)


def test_the_weighting_is_the_table_of_the_standard_at_48_khz() -> None:
    (shelf_b, shelf_a), (pass_b, pass_a) = k_weighting(48000)
    np.testing.assert_allclose(shelf_b, [1.53512485958697, -2.69169618940638, 1.19839281085285], atol=1e-9)
    np.testing.assert_allclose(shelf_a, [1, -1.69065929318241, 0.73248077421585], atol=1e-9)
    np.testing.assert_allclose(pass_b, [1, -2, 1])
    np.testing.assert_allclose(pass_a, [1, -1.99004745483398, 0.99007225036621], atol=1e-9)


def test_filtering_in_the_frequency_domain_equals_the_recursion() -> None:
    from pipeline.audio.level import _k_weighted

    expected = np.random.default_rng(0).standard_normal(4000)
    actual = _k_weighted(expected.astype(np.float32), 16000)
    expected = expected.astype(np.float32).astype(np.float64)
    for b, a in k_weighting(16000):
        x, expected = expected, np.zeros_like(expected)
        for n in range(len(x)):
            past = sum(b[k] * x[n - k] - (a[k] * expected[n - k] if k else 0) for k in range(min(n, 2) + 1))
            expected[n] = past
    np.testing.assert_allclose(actual, expected, atol=1e-9)


def test_silence_between_sounds_is_gated_out() -> None:
    sound = tone(997, 4.0, 16000, 0.5)
    with_pause = np.concatenate([sound, np.zeros(16000 * 8, np.float32)])
    assert loudness_lufs(with_pause, 16000) == pytest.approx(loudness_lufs(sound, 16000), abs=0.2)


def test_silence_and_short_clips_have_no_loudness_and_the_floor_as_level() -> None:
    assert loudness_lufs(np.zeros(48000, np.float32), 48000) is None
    assert loudness_lufs(tone(997, 0.39, 48000), 48000) is None
    assert loudness_lufs(tone(997, 0.4, 48000), 48000) is not None
    for silent in (np.zeros(100, np.float32), np.zeros(0, np.float32), np.full(9, 1e-30, np.float32)):
        assert level_dbfs(silent) == peak_dbfs(silent) == FLOOR_DBFS


def test_a_sine_has_its_rms_3_01_db_below_its_peak() -> None:
    assert level_dbfs(tone(1000, 1.0, 48000, 1.0)) == pytest.approx(-3.01, abs=0.01)
    assert peak_dbfs(tone(1000, 1.0, 48000, 1.0)) == pytest.approx(0, abs=1e-6)


@given(st_numpy.arrays(np.float32, st.integers(0, 3000), elements=st.floats(-1, 1, width=32)))
def test_levels_are_finite_and_ordered(waveform: np.ndarray) -> None:
    assert FLOOR_DBFS <= level_dbfs(waveform) <= peak_dbfs(waveform) + 1e-6 <= 1e-6
    loudness = loudness_lufs(waveform, 4000)
    assert loudness is None or np.isfinite(loudness)
