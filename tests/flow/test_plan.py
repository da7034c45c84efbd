"""What is left of shards, by the commits that are there."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.flow.plan import InconsistentCommitsError, Work, plan, rest_of
from pipeline.inputs.shards import Shard
from schemas.records import CommitRecord, Cursor

A, B, C = (Shard(name, "tar", f"{name}.tar", 100) for name in "abc")


def commit(part: int, last: bool = False, shard: Shard = A) -> CommitRecord:
    return CommitRecord(
        shard_id=shard.shard_id,
        part=part,
        windows=4,
        recordings=2,
        errors=0,
        files=[],
        next=Cursor(recording=2 * (part + 1), window=part),
        share=1.0 if last else (part + 1) / 10,
        last=last,
    )


def left(commits: list[CommitRecord]) -> Work | None:
    """What `rest_of` says of shard A, and that of its commits it reads the last of those in a row at most."""
    read: list[int] = []

    def look(part: int) -> CommitRecord:
        read.append(part)
        return next(commit for commit in commits if commit.part == part)

    rest = rest_of(A, [commit.part for commit in commits], look)
    assert len(read) <= 1
    return rest


def test_a_shard_without_commits_is_left_whole() -> None:
    assert left([]) == Work(A, Cursor(), 0, 0.0)


def test_work_goes_on_after_the_last_part_in_a_row() -> None:
    assert left([commit(0), commit(1)]) == Work(A, Cursor(recording=4, window=1), 2, 0.2)


def test_a_part_behind_a_gap_does_not_count() -> None:
    assert left([commit(0), commit(2), commit(3, last=True)]) == Work(A, Cursor(recording=2), 1, 0.1)
    assert left([commit(1)]) == Work(A)


def test_a_shard_committed_to_its_end_leaves_nothing() -> None:
    assert left([commit(0), commit(1), commit(2, last=True)]) is None


def test_a_part_beyond_the_last_is_refused() -> None:
    with pytest.raises(InconsistentCommitsError, match=r"ends with part 1, yet part 3 .* another output"):
        left([commit(0), commit(1, last=True), commit(3)])


@given(st.integers(0, 12), st.randoms())
def test_the_order_in_which_commits_are_listed_does_not_matter(parts: int, rng: object) -> None:
    commits = [commit(part) for part in range(parts)]
    shuffled = sorted(commits, key=lambda _: rng.random())  # type: ignore[attr-defined]
    assert left(shuffled) == left(commits)


def test_the_plan_keeps_the_order_of_shards_and_leaves_out_what_is_done() -> None:
    there = {("c", 0): commit(0, shard=C), ("b", 0): commit(0, last=True, shard=B)}
    work = plan([A, B, C], {"c": [0], "b": [0]}, lambda shard_id, part: there[shard_id, part])
    assert work == [Work(A), Work(C, Cursor(recording=2), 1, 0.1)]


def test_a_commit_of_a_shard_that_the_input_lacks_is_refused() -> None:
    with pytest.raises(InconsistentCommitsError, match=r"a shard that the input lacks: c"):
        plan([A, B], {"a": [0], "c": [0]}, lambda shard_id, part: commit(part))
