"""A mask in a few numbers: by mel band and by time."""

from __future__ import annotations

import numpy as np
import pytest
import torchaudio
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from pipeline.models.checkpoint import load_config, shipped
from pipeline.runs.profiles import band_edges_hz, band_profile, time_profile
from schemas.explainer_config import FrontEndConfig
from schemas.tables import TIME_SPANS

SCALES = ("slaney", "htk")


@pytest.mark.parametrize("scale", SCALES)
def test_each_band_holds_the_peak_of_its_own_filter(scale: str) -> None:
    front_end = FrontEndConfig(mel_scale=scale)
    edges = band_edges_hz(front_end)
    filters = torchaudio.functional.melscale_fbanks(
        16_001, front_end.f_min, front_end.f_max, front_end.n_mels, front_end.sample_rate, mel_scale=scale
    )
    peaks = filters.argmax(dim=0).numpy() * 1.0
    assert (edges[0], edges[-1]) == pytest.approx((front_end.f_min, front_end.f_max))
    assert ((peaks > edges[:-1]) & (peaks < edges[1:])).all()


HUMMED = {name: load_config(name)[0].front_end for name in shipped()} | {"f_min 20": FrontEndConfig(f_min=20.0)}


@pytest.mark.parametrize("front_end", HUMMED.values(), ids=HUMMED)
def test_a_hum_lies_in_the_lowest_bands_alone(front_end: FrontEndConfig) -> None:
    mask = np.zeros((front_end.n_freq, 10))
    mask[round(50 / front_end.bin_hz)] = 1
    profile, edges = (
        band_profile(mask.mean(axis=1), band_edges_hz(front_end), front_end.bin_hz),
        band_edges_hz(front_end),
    )
    low, high = edges[:-1][profile > 0].min(), edges[1:][profile > 0].max()
    assert low <= 50 < high < 131
    if front_end.f_min == 50:
        np.testing.assert_array_equal(np.flatnonzero(profile), [0])


@given(
    values=arrays.arrays(np.float64, (65, 7), elements=st.floats(0, 1)),
    inner=st.lists(st.floats(1, 4000), min_size=1, max_size=30, unique=True),
)
def test_bands_that_reach_everywhere_keep_the_mean(values: np.ndarray, inner: list[float]) -> None:
    bin_hz = 62.5
    edges = np.array([-bin_hz / 2, *sorted(inner), 64.5 * bin_hz])
    widths = np.diff(edges)
    profile = band_profile(values.mean(axis=1), edges, bin_hz)
    assert np.sum(profile * widths) / widths.sum() == pytest.approx(values.mean(), abs=1e-5)


@given(values=arrays.arrays(np.float64, st.tuples(st.just(3), st.integers(1, 300)), elements=st.floats(0, 1)))
def test_spans_of_time_keep_the_mean(values: np.ndarray) -> None:
    assert time_profile(values.mean(axis=0)).shape == (TIME_SPANS,)
    assert time_profile(values.mean(axis=0)).mean() == pytest.approx(values.mean(), abs=1e-6)


@given(values=arrays.arrays(np.float64, TIME_SPANS, elements=st.floats(0, 1)), size=st.integers(1, 20))
def test_aligned_spans_are_their_means(values: np.ndarray, size: int) -> None:
    np.testing.assert_allclose(time_profile(np.repeat(values, size)), values, atol=1e-6)


@pytest.mark.parametrize("scale", SCALES)
def test_the_profile_of_a_mask_of_ones_is_ones(scale: str) -> None:
    front_end = FrontEndConfig(mel_scale=scale)
    ones = np.ones((front_end.n_freq, 5))
    np.testing.assert_allclose(
        band_profile(ones.mean(axis=1), band_edges_hz(front_end), front_end.bin_hz), 1, atol=1e-6
    )
