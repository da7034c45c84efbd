"""Copies joined to groups, and groups that lie across a split."""

from __future__ import annotations

from pipeline.audit.duplicates.copy_groups import group_copies, spanning
from pipeline.audit.duplicates.describe import leakage, near_copies
from pipeline.audit.duplicates.verify_pairs import Copy
from tests.audit.duplicates.make import windows_of


def test_copies_of_copies_are_one_group_and_each_names_its_clearest() -> None:
    windows = windows_of([1, 1, 1, 1, 1, 1])
    found = group_copies(windows, [Copy(4, 1, 0.9, 0.0), Copy(1, 2, 0.95, 0.1), Copy(3, 5, 0.99, 0.0)])
    assert found.groups == [[1, 2, 4], [3, 5]]
    assert {one: found.links[one][0].other for one in found.recordings} == {1: 2, 2: 1, 3: 5, 4: 1, 5: 3}
    finding = near_copies(windows, found, 7)
    assert finding.n == 5
    assert finding.share == 5 / 6
    assert [(one.clip_id, one.suggestion) for one in finding.members] == [
        ("r3", "r5"),
        ("r5", "r3"),
        ("r1", "r2"),
        ("r2", "r1"),
        ("r4", "r1"),
    ]
    assert "7 less likely pairs were not compared" in finding.statement


def test_the_order_of_copies_does_not_matter() -> None:
    windows = windows_of([2, 1, 3])
    copies = [Copy(0, 2, 0.9, 0.0), Copy(4, 1, 0.9, 0.0), Copy(5, 2, 0.9, 0.0)]
    one, other = (near_copies(windows, group_copies(windows, order), 0) for order in (copies, copies[::-1]))
    assert one == other


def test_groups_across_a_split_are_told_by_its_values() -> None:
    groups = [[0, 1], [2, 3], [4, 5], [6, 7]]
    splits = ["train", "test", "train", "train", None, "test", "test", "train"]
    assert spanning(groups, splits) == {("test", "train"): [[0, 1], [6, 7]]}


def test_leakage_names_a_copy_on_the_other_side_and_weighs_more_than_copies_do() -> None:
    windows = windows_of([1, 1, 1, 1], splits=["train", "train", "test", None])
    # Clearest is the copy on the same side; the one across is only linked through it.
    found = group_copies(windows, [Copy(0, 1, 0.99, 0.0), Copy(1, 2, 0.9, 0.0)])
    (finding,) = leakage(windows, found, "part")
    assert finding.subject == "leakage across part: test, train"
    assert {one.clip_id: one.suggestion for one in finding.members} == {"r0": "r2", "r1": "r2", "r2": "r1"}
    assert finding.evidence["by_split"] == {"test": 1, "train": 2}
    assert finding.weight > near_copies(windows, found, 0).weight
    assert leakage(windows, group_copies(windows, [Copy(0, 1, 0.99, 0.0), Copy(2, 3, 0.9, 0.0)]), "part") == []


def test_a_copy_under_another_label_is_named() -> None:
    windows = windows_of([1, 1, 1, 1, 1])
    windows.labels[:] = [("rain",), ("sea",), ("rain",), ("rain",), ()]
    found = group_copies(windows, [Copy(0, 1, 0.9, 0.0), Copy(2, 3, 0.9, 0.0), Copy(3, 4, 0.9, 0.0)])
    finding = near_copies(windows, found, 0)
    assert finding.evidence["labels_disagree"] == [{"r0": ["rain"], "r1": ["sea"]}]
    assert finding.statement.endswith("in 1 group labels disagree")
