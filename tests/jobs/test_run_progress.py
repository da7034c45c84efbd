"""What a run prints while it goes on."""

from __future__ import annotations

import pytest

from jobs.messages import console
from jobs.run_progress import RunProgress
from pipeline.flow.cluster import PoolSize
from pipeline.flow.plan import Work
from pipeline.inputs.listing import Listing
from pipeline.inputs.shards import Shard
from schemas.records import CommitRecord, Cursor


def commit(count: int) -> CommitRecord:
    """A commit of half a shard: `count` recordings, each of one window, and as many errors."""
    return CommitRecord(
        shard_id="0",
        part=0,
        windows=count,
        recordings=count,
        errors=count,
        files=[],
        next=Cursor(),
        share=0.5,
        last=False,
    )


@pytest.mark.parametrize(
    ("count", "left", "pool", "counts", "stopped"),
    [
        (1, "1 shard is left", "1 actor on 1 CPU core", ("1 recording, ", ", 1 error"), "1 recording in 1 window of"),
        (
            2,
            "2 shards are left",
            "2 actors on 2 CPU cores each",
            ("2 recordings, ", ", 2 errors"),
            "2 recordings in 2 windows of",
        ),
    ],
)
def test_one_of_a_thing_is_printed_in_the_singular(
    count: int, left: str, pool: str, counts: tuple[str, str], stopped: str
) -> None:
    shards = [Shard(shard_id=str(number), kind="tar", uri=f"{number}.tar", size_bytes=100) for number in range(count)]
    progress = RunProgress()
    with console.capture() as captured:
        progress.planned(Listing("in", shards, ""), [Work(shard, first=1) for shard in shards])
        progress.cluster_ready(PoolSize(count, "cpu", count, 1))
        progress.committed(commit(count), 0.0)
        progress.stopped()
    lines = captured.get().splitlines()
    assert lines[1] == f"resuming: 0% of the input is done, {left}"
    assert lines[2] == pool
    before, behind = counts
    assert lines[3].split("% ")[1].startswith(before)
    assert lines[3].endswith(behind)
    assert stopped in lines[4]
