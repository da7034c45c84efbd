from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.inputs.window_set import TrainingDataError, WindowSet
from pipeline.training.holdout import Split, selections_of, split


def dataset(labels: Sequence[str | None], folds: int = 5) -> WindowSet:
    """Two windows a recording; folds in turn."""
    n = len(labels)
    return WindowSet(
        samples=np.zeros((2 * n, 3), "<i2"),
        recording_index=np.repeat(np.arange(n), 2),
        keys=tuple(f"recording-{i:03d}" for i in range(n)),
        labels=tuple((label,) if label else () for label in labels),
        metadata=tuple({"fold": i % folds + 1} for i in range(n)),
        classes=tuple(sorted({label for label in labels if label})),
    )


FORTY = dataset(["x"] * 10 + ["y"] * 30)


def keys(part: WindowSet | None) -> set[str]:
    return set(part.keys) if part is not None else set()


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.sampled_from(["x", "y", "z", None]), min_size=6, max_size=40), st.floats(0.01, 0.99), st.integers(0, 9)
)
def test_a_share_is_drawn_from_every_class_and_leaves_every_class(
    labels: list[str | None], share: float, seed: int
) -> None:
    sets = split(dataset(labels), [], str(share), None, seed)
    assert sets.validation is not None
    assert not keys(sets.train) & keys(sets.validation)
    assert keys(sets.train) | keys(sets.validation) == keys(dataset(labels))
    held, left = Counter(sets.validation.labels), Counter(sets.train.labels)
    for label, count in Counter(dataset(labels).labels).items():
        assert left[label] >= 1
        if count > 1:
            assert held[label] == min(max(1, round(share * count)), count - 1)


def test_segments_of_a_file_are_held_out_together() -> None:
    whole = dataset(["x"] * 12 + ["y"] * 12)
    files = tuple(f"file-{number // 3}" for number in range(24))
    sets = split(replace(whole, files=files), [], "0.25", None, 0)
    assert sets.validation is not None
    assert set(sets.train.files) & set(sets.validation.files) == set()
    assert len(sets.validation.keys) == 6


def parts(sets: Split) -> tuple[set[str], set[str], set[str]]:
    return keys(sets.train), keys(sets.validation), keys(sets.test)


def test_the_draw_is_the_seed_s() -> None:
    assert parts(split(FORTY, [], "0.2", None, 3)) == parts(split(FORTY, [], "0.2", None, 3))
    assert parts(split(FORTY, [], "0.2", None, 3)) != parts(split(FORTY, [], "0.2", None, 4))


def test_the_draw_does_not_depend_on_the_order_of_the_input() -> None:
    turned = FORTY.recordings(range(39, -1, -1))
    assert parts(split(turned, [], "0.2", None, 3)) == parts(split(FORTY, [], "0.2", None, 3))


def test_selections_name_the_sets() -> None:
    sets = split(FORTY, ["fold=1,2,3", "fold=4"], "fold=4", "fold=5", 0)
    folds = [{row["fold"] for row in part.metadata} for part in (sets.train, sets.validation, sets.test) if part]
    assert folds == [{1, 2, 3}, {4}, {5}]
    assert [len(part) for part in (sets.train, sets.validation, sets.test) if part] == [48, 16, 16]


def test_none_holds_nothing_out() -> None:
    sets = split(FORTY, [], "none", None, 0)
    assert (sets.validation, sets.test) == (None, None)
    assert keys(sets.train) == keys(FORTY)


def test_recordings_that_are_tested_are_never_trained_on() -> None:
    with pytest.raises(TrainingDataError, match="8 recordings would be both trained on and tested on: select"):
        split(FORTY, [], "0.2", "fold=5", 0)


def test_the_words_count_what_the_sets_hold() -> None:
    how = split(FORTY, ["fold=1,2,3,4"], "0.25", "fold=5", 0).how
    assert how == (
        "trained on 32 recordings (fold is one of 1, 2, 3, 4); 8 of them held out to choose the epoch (0.25); "
        "tested once on 8 recordings (fold=5)"
    )


@pytest.mark.parametrize("share", ["0", "1", "-0.2", "1.5", "nan", "half"])
def test_a_share_that_is_none_is_named(share: str) -> None:
    with pytest.raises(TrainingDataError, match=f"share between 0 and 1, COLUMN=VALUE or none, got '{share}'"):
        split(FORTY, [], share, None, 0)


def test_a_validation_of_everything_is_refused() -> None:
    with pytest.raises(TrainingDataError, match="fold=1,2,3,4,5 leaves nothing to train on"):
        split(FORTY, [], "fold=1,2,3,4,5", None, 0)


def test_where_no_class_has_two_recordings_a_share_is_refused() -> None:
    with pytest.raises(TrainingDataError, match="holds nothing out, as no class has two recordings"):
        split(dataset(["x", "y"]), [], "0.5", None, 0)


def test_what_a_split_will_use_is_asked_for_at_loading() -> None:
    assert selections_of([], None) == selections_of([], "fold=5") == []
    assert selections_of(["fold=1,2", "take=A"], None) == [{"fold": ["1", "2"], "take": ["A"]}]
    assert selections_of(["fold=1"], "fold=5") == [{"fold": ["1"]}, {"fold": ["5"]}]


def test_a_split_of_what_was_asked_for_is_the_split_of_everything() -> None:
    select, test = ["fold=1,2,3"], "fold=5"
    asked = selections_of(select, test)
    kept = [i for i, row in enumerate(FORTY.metadata) if any(str(row["fold"]) in one["fold"] for one in asked)]
    assert 0 < len(kept) < 40
    for validation in ("0.2", "fold=3", "none"):
        whole, part = (split(windows, select, validation, test, 0) for windows in (FORTY, FORTY.recordings(kept)))
        assert parts(part) == parts(whole)
        assert part.how == whole.how
        assert part.train.digest() == whole.train.digest()
