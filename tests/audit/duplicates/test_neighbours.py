"""Neighbours of other recordings, exact and by cells, and the pairs that they make."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.audit.duplicates import neighbours
from pipeline.audit.duplicates.candidates import NEIGHBOURS, find_candidates, spectral_shapes
from pipeline.audit.duplicates.neighbours import nearest, unit_vectors


def vectors(n: int, dimensions: int = 16, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, dimensions)).astype(np.float32)


def test_unit_vectors_are_centred_and_of_length_one_in_place() -> None:
    given = vectors(500) + 3
    direction = given[7] - given.mean(axis=0)
    made = unit_vectors(given)
    assert made is given
    np.testing.assert_allclose(np.linalg.norm(made, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(made[7], direction / np.linalg.norm(direction), atol=1e-5)


def test_the_nearest_are_those_that_a_comparison_of_all_finds() -> None:
    made, recording = unit_vectors(vectors(300)), np.arange(300) // 3
    near, similarity = nearest(made, recording, 5)
    alike = made @ made.T
    alike[recording[:, None] == recording] = -np.inf
    np.testing.assert_array_equal(near, np.argsort(-alike, axis=1)[:, :5])
    np.testing.assert_allclose(similarity, -np.sort(-alike, axis=1)[:, :5], atol=1e-5)


def test_windows_of_one_long_recording_do_not_hide_the_copy_of_it() -> None:
    long = vectors(1, seed=1) + 0.01 * vectors(100, seed=2)
    copy = long[50] + 0.05 * vectors(1, seed=3)[0]
    rest = vectors(200, seed=4)
    recording = np.concatenate([np.zeros(100, int), [1], np.arange(2, 202)])
    near, _ = nearest(unit_vectors(np.vstack([long, copy, rest])), recording, 4)
    assert near[50, 0] == 100
    assert set(near[100]) <= set(range(100))


@pytest.mark.parametrize("n", [0, 1, 2, 3])
def test_few_windows_have_few_neighbours(n: int) -> None:
    near, similarity = nearest(unit_vectors(vectors(n)) if n else vectors(0), np.arange(n), 4)
    assert near.shape == similarity.shape == (n, 4)
    assert ((near >= 0).sum(axis=1) == max(0, n - 1)).all()


def test_by_cells_copies_are_found_and_the_same_ones_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "EXACT", 100)
    originals = np.repeat(vectors(20, seed=1), 100, axis=0) + 0.5 * vectors(2000, seed=2)
    made = unit_vectors(np.vstack([originals, originals[:200] + 0.05 * vectors(200, seed=3)]))
    near, _ = nearest(made, np.arange(2200), 3)
    assert (near[2000:, 0] == np.arange(200)).mean() > 0.99
    again, _ = nearest(made, np.arange(2200), 3)
    np.testing.assert_array_equal(near, again)


def test_pairs_are_neighbours_by_any_description_each_once_the_likeliest_first() -> None:
    embeddings, shapes = vectors(60, seed=1), vectors(60, seed=2)
    embeddings[31] = embeddings[5] + 0.01
    shapes[44] = shapes[7] + 0.001
    found = find_candidates([embeddings, shapes], np.arange(60))
    assert [tuple(pair) for pair in found.pairs[:2].tolist()] == [(7, 44), (5, 31)]
    assert (found.pairs[:, 0] < found.pairs[:, 1]).all()
    assert len(np.unique(found.pairs, axis=0)) == len(found.pairs) <= 2 * NEIGHBOURS * 60
    assert found.left_out == 0
    fewer = find_candidates([vectors(60, seed=1), vectors(60, seed=2)], np.arange(60), max_pairs=10)
    assert len(fewer.pairs) == len(fewer.similarity) == 10
    assert fewer.left_out > 0


def test_two_recordings_give_few_pairs_however_many_windows_they_have() -> None:
    sound = vectors(50)
    found = find_candidates([np.vstack([sound, sound])], np.repeat([0, 1], 50))
    assert len(found.pairs) == 3
    assert ((found.pairs[:, 1] - found.pairs[:, 0]) == 50).all()


def test_a_spectral_shape_does_not_depend_on_the_gain_nor_on_what_lies_far_below() -> None:
    levels = np.array([[-20.0, -35.0, -120.0, -60.0]], np.float32)
    shape = spectral_shapes(levels)
    np.testing.assert_allclose(shape[0] - shape[0, 0], [0, -15, -20, -20])
    np.testing.assert_allclose(spectral_shapes(levels - 30), shape, atol=1e-5)
    np.testing.assert_allclose(spectral_shapes(np.maximum(levels, -45)), shape, atol=1e-5)
