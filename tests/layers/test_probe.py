from __future__ import annotations

import re

import numpy as np
import pytest

from pipeline.inputs.window_set import TrainingDataError
from pipeline.layers.probe import probe, probe_task

pytestmark = pytest.mark.slow


def normal(n: int, d: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, d)).astype(np.float32)


LABELS = list("abc") * 20


def test_a_feature_that_is_the_label_is_read_off() -> None:
    features = normal(60, 8)
    for column, (label, scale) in enumerate([("a", 1e-3), ("b", 1.0), ("c", 1e3)]):
        features[:, column] = [scale * (each == label) for each in LABELS]
    score = probe(features, probe_task(LABELS, None, 5, 0))
    assert score.accuracy == 1
    assert 0.9 < score.low < score.high == pytest.approx(1)


def test_labels_at_random_are_read_off_at_chance() -> None:
    task = [probe_task(np.random.default_rng(seed).permutation(LABELS).tolist(), None, 3, seed) for seed in range(6)]
    accuracy = [probe(normal(60, 200), each).accuracy for each in task]
    assert task[0].chance == pytest.approx(1 / 3)
    assert np.mean(accuracy) == pytest.approx(1 / 3, abs=0.1)


def test_the_interval_is_wilsons() -> None:
    features = normal(60, 1)
    score = probe(features, probe_task(LABELS, None, 5, 0))
    p, n, z = score.accuracy, 60, 1.959964
    middle, half = p + z**2 / (2 * n), z * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    assert (score.low, score.high) == pytest.approx(
        ((middle - half) / (1 + z**2 / n), (middle + half) / (1 + z**2 / n))
    )


def test_the_same_seed_gives_the_same_score() -> None:
    features = normal(60, 30)
    assert probe(features, probe_task(LABELS, None, 5, 3)) == probe(features, probe_task(LABELS, None, 5, 3))


def test_every_clip_is_tested_once_and_never_learnt_from_where_it_is() -> None:
    task = probe_task(LABELS, None, 5, 0)
    assert sorted(np.concatenate([test for _, test in task.folds])) == list(range(60))
    assert all(not set(train) & set(test) for train, test in task.folds)


def test_copies_of_a_clip_raise_the_accuracy_unless_they_are_a_group() -> None:
    features = np.repeat(normal(40, 100), 3, axis=0)
    labels = np.repeat(np.random.default_rng(1).permutation(list("ab") * 20), 3).tolist()
    origin = np.repeat(np.arange(40), 3).astype(str).tolist()
    assert probe(features, probe_task(labels, None, 3, 0)).accuracy > 0.9
    assert probe(features, probe_task(labels, origin, 3, 0)).accuracy < 0.7


def test_groups_are_never_on_both_sides() -> None:
    groups = [str(number // 6) for number in range(60)]
    task = probe_task(LABELS, groups, 4, 0)
    assert len(task.folds) == 4
    for train, test in task.folds:
        assert not {groups[i] for i in train} & {groups[i] for i in test}


def test_two_groups_are_two_folds() -> None:
    groups = ["early"] * 30 + ["late"] * 30
    features = np.eye(3, dtype=np.float32)[[ord(label) - ord("a") for label in LABELS]]
    task = probe_task(LABELS, groups, 5, 0)
    assert len(task.folds) == 2
    assert probe(features, task).accuracy == 1


def test_the_strength_is_chosen_without_the_clips_tested() -> None:
    # What the recordings tested hold changes their own scores only.
    features = normal(60, 20)
    task = probe_task(LABELS, None, 3, 0)
    train, test = task.folds[0]
    other = features.copy()
    other[test] = 1e6
    only = type(task)(task.labels, None, ((train, test),), 0)
    assert probe(features, only).inverse_regularisation == probe(other, only).inverse_regularisation


@pytest.mark.parametrize(
    ("labels", "groups", "said"),
    [
        ([], None, "no recording has a label"),
        (["a"] * 9, None, "all 9 labelled recordings are 'a'"),
        (["a"] * 9 + ["b"] * 4, None, "5 folds need 5 recordings of every label, and 'b' has 4: give --folds 4"),
        (["a"] * 9 + ["b"], None, "'b' has 1: leave that label out"),
        (["a", "b"] * 6, ["x"] * 12, "all 12 labelled recordings are of one group, 'x'"),
        (
            ["a"] * 6 + ["b"] * 6,
            ["x"] * 6 + ["y"] * 6,
            "'a' has 6 recordings, and a fold leaves 0 of them to learn from",
        ),
        (
            ["a"] * 6 + ["b"] * 2,
            ["x", "y"] * 4,
            "folds of groups need 3 recordings of every label, and 'b' has 2: leave",
        ),
    ],
)
def test_a_question_that_makes_no_sense(labels: list[str], groups: list[str] | None, said: str) -> None:
    with pytest.raises(TrainingDataError, match=re.escape(said)):
        probe_task(labels, groups, 5, 0)


def test_two_folds_of_two_clips_leave_too_few_to_learn_from() -> None:
    with pytest.raises(TrainingDataError, match="a fold leaves 1 of them to learn from"):
        probe_task(["a", "b"] * 2, None, 2, 0)
