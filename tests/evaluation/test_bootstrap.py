from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.evaluation.bootstrap import Bootstrap

CLIPS = np.repeat(np.arange(12), 2)


@given(st.floats(-1e6, 1e6), st.integers(1, 40), st.integers(0, 99))
def test_the_interval_of_a_constant_has_no_width(constant: float, windows: int, seed: int) -> None:
    found = Bootstrap(np.arange(windows) // 2, 100, seed).interval(np.full(windows, constant))
    assert found.value[0] == found.low[0] == found.high[0] == constant


@given(st.lists(st.floats(-1e3, 1e3), min_size=24, max_size=24))
def test_the_mean_lies_in_its_interval_and_that_in_the_range_of_the_clips(values: list[float]) -> None:
    found = Bootstrap(CLIPS, 400).interval(np.array(values))
    recordings = np.array(values).reshape(12, 2).mean(axis=1)
    slack = 1e-9 * (1 + np.abs(recordings).max())
    assert recordings.min() - slack <= found.low[0] <= found.high[0] <= recordings.max() + slack
    assert found.value[0] == pytest.approx(np.mean(values), abs=slack)
    assert found.n == 24


def test_the_difference_of_a_method_from_itself_is_exactly_nothing() -> None:
    values = np.random.default_rng(0).normal(size=(24, 5))
    found = Bootstrap(CLIPS).interval(values - values)
    assert not found.value.any()
    assert not found.low.any()
    assert not found.high.any()


def test_a_seed_gives_the_same_interval_and_another_seed_another() -> None:
    values = np.random.default_rng(0).normal(size=24)
    first, again, other = (Bootstrap(CLIPS, 500, seed).interval(values) for seed in (1, 1, 2))
    assert (first.low, first.high) == (again.low, again.high)
    assert first.low != other.low


def test_columns_do_not_disturb_each_other() -> None:
    values = np.random.default_rng(0).normal(size=(24, 3))
    bootstrap = Bootstrap(CLIPS)
    together = bootstrap.interval(values)
    for k in range(3):
        assert together.low[k] == pytest.approx(bootstrap.interval(values[:, k]).low[0])


def test_windows_of_one_clip_are_no_further_evidence() -> None:
    one = np.random.default_rng(0).normal(size=30)
    single = Bootstrap(np.arange(30), 1000).interval(one)
    tenfold = Bootstrap(np.repeat(np.arange(30), 10), 1000).interval(np.repeat(one, 10))
    assert tenfold.low[0] == pytest.approx(single.low[0])
    assert tenfold.high[0] == pytest.approx(single.high[0])


def test_the_truth_lies_in_about_95_of_100_intervals() -> None:
    rng = np.random.default_rng(0)
    drawn = rng.normal(size=(60, 400))
    found = Bootstrap(np.arange(60), 1000).interval(drawn)
    covered = ((found.low <= 0) & (found.high >= 0)).mean()
    assert 0.91 <= covered <= 0.98
