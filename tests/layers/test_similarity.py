from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.layers.similarity import linear_cka, svcca


def normal(n: int, d: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, d))


def rotation(d: int, seed: int = 0) -> np.ndarray:
    return np.linalg.qr(normal(d, d, seed))[0]


def cka(x: np.ndarray, y: np.ndarray) -> float:
    return float(linear_cka([x, y])[0, 1])


def hsic(x: np.ndarray, y: np.ndarray) -> float:
    """The unbiased estimator as Nguyen et al. print it (eq. 3)."""
    k, q = x @ x.T, y @ y.T
    np.fill_diagonal(k, 0)
    np.fill_diagonal(q, 0)
    n, one = len(x), np.ones(len(x))
    whole = (one @ k @ one) * (one @ q @ one) / ((n - 1) * (n - 2))
    return float((np.trace(k @ q) + whole - 2 / (n - 2) * (one @ k @ q @ one)) / (n * (n - 3)))


def test_it_is_the_published_estimator() -> None:
    x, y = normal(9, 3), normal(9, 4, seed=1) + 2
    assert cka(x, y) == pytest.approx(hsic(x, y) / np.sqrt(hsic(x, x) * hsic(y, y)))


def test_batches_of_clips_are_summed_before_the_ratio() -> None:
    x, y = normal(12, 3), normal(12, 3, seed=1)
    x, y = x - x.mean(axis=0), y - y.mean(axis=0)
    order = np.random.default_rng(5).permutation(12)
    sums = [sum(hsic(a[part], b[part]) for part in (order[:6], order[6:])) for a, b in ((x, y), (x, x), (y, y))]
    got = linear_cka([x, y], batch=6, seed=5)[0, 1]
    assert got == pytest.approx(sums[0] / np.sqrt(sums[1] * sums[2]))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000), st.integers(4, 30), st.integers(1, 12), st.floats(0.01, 100), st.floats(-50, 50))
def test_a_layer_is_itself_up_to_rotation_scale_and_shift(
    seed: int, n: int, d: int, scale: float, shift: float
) -> None:
    x = normal(n, d, seed)
    assert cka(x, scale * x @ rotation(d, seed) + shift) == pytest.approx(1, abs=1e-6)


def test_the_matrix_is_symmetric_with_ones_on_its_diagonal() -> None:
    got = linear_cka([normal(20, 3), normal(20, 7, seed=1), normal(20, 50, seed=2)])
    np.testing.assert_allclose(got, got.T)
    np.testing.assert_allclose(np.diag(got), 1)


def test_wide_independent_layers_are_not_alike_though_the_clips_are_few() -> None:
    values = [cka(normal(30, 500, seed), normal(30, 500, seed + 100)) for seed in range(20)]
    assert abs(np.mean(values)) < 0.03  # the biased estimator says 0.94 of these


def test_a_layer_that_shares_a_part_lies_between() -> None:
    shared = normal(200, 5)
    x, y = (np.hstack([shared, normal(200, 5, seed)]) for seed in (1, 2))
    assert cka(x, y) == pytest.approx(0.5, abs=0.1)


def test_a_constant_layer_is_like_nothing() -> None:
    got = linear_cka([normal(10, 3), np.full((10, 3), 0.1)])
    assert got[0, 0] == pytest.approx(1)
    assert np.isnan([got[0, 1], got[1, 0], got[1, 1]]).all()


def test_three_clips_are_too_few() -> None:
    with pytest.raises(ValueError, match="4 recordings or more"):
        linear_cka([normal(3, 2), normal(3, 2)])


def test_canonical_correlation_is_blind_to_any_invertible_map() -> None:
    x = normal(100, 4)
    got = svcca([x, x @ np.array([[2, 1, 0, 0], [0, 1, 0, 0], [0, 0, 3, 1], [1, 0, 0, 1]]) + 7])
    np.testing.assert_allclose(got, 1)


def test_canonical_correlation_of_half_a_layer() -> None:
    shared = normal(2000, 1)
    x, y = (np.hstack([shared, normal(2000, 1, seed)]) for seed in (1, 2))
    assert svcca([x, y])[0, 1] == pytest.approx(0.5, abs=0.03)


def test_canonical_correlation_is_left_out_where_directions_are_too_many() -> None:
    got = svcca([normal(50, 5), normal(50, 6, seed=1), np.ones((50, 2))])
    assert np.isfinite(got[0, 0])
    assert np.isnan(got[[0, 1, 1, 2], [1, 1, 0, 0]]).all()
