"""`lmac status`: how far a run is, by its commits and when they were written."""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from pathlib import Path

import pytest

from pipeline.runs.manifest import ManifestBuilder
from pipeline.runs.output import RunOutput
from pipeline.runs.progress import read_progress
from pipeline.storage.errors import StorageError
from schemas.records import CommitRecord, Cursor, QuarantinedShard, RunRecord, Sums
from tests.conftest import TinyRun
from tests.jobs.test_cli import run


def begin(folder: Path, shards: int = 4) -> RunOutput:
    output = RunOutput(str(folder))
    output.write_run_record(
        RunRecord(lmac_version="0", input_digest="d", shards=shards, config={}, explainer={}, packages={})
    )
    return output


def commit(output: RunOutput, shard: str, part: int, share: float, at: float, actor: str, reasons: str = "") -> None:
    """A part of 30 windows in 6 s, and an error for each word in `reasons`."""
    errors = reasons.split()
    record = CommitRecord(
        shard_id=shard,
        part=part,
        windows=30,
        recordings=10 + len(errors),
        errors=len(errors),
        files=[],
        sums=Sums(reasons=Counter(errors)),
        next=Cursor(recording=10 * part + 10),
        share=share,
        last=share == 1,
        actor=actor,
        seconds=6.0,
    )
    output.commit(record)
    os.utime(Path(output.url) / output.commit_path(shard, part), (at,) * 2)


def test_a_run_that_goes_on(tmp_path: Path) -> None:
    output, now = begin(tmp_path), time.time()
    commit(output, "a-0", 0, 0.5, now - 7200, "one", "empty truncated")  # before an interruption
    commit(output, "a-0", 1, 1.0, now - 54, "two", "truncated")
    commit(output, "b-1", 0, 0.25, now - 30, "two")
    commit(output, "c-2", 0, 0.25, now, "three")
    progress = read_progress(str(tmp_path))
    assert (progress.state, progress.shards, progress.shards_done, progress.parts) == ("unfinished", 4, 1, 4)
    assert (progress.recordings, progress.windows, progress.errors) == (43, 120, {"truncated": 2, "empty": 1})
    assert progress.share == pytest.approx(1.5 / 4)
    # The three of the last minute: from 60 s ago, when the first of them was begun.
    assert progress.windows_per_s == pytest.approx(90 / 60, rel=1e-3)
    assert progress.seconds_left == pytest.approx(60 * (4 - 1.5) / 1.0, rel=1e-3)
    assert (progress.actors, progress.recent_actors) == (["one", "three", "two"], ["three", "two"])
    code, said = run("status", tmp_path)
    assert code == 0
    assert said.startswith(
        "not finished: 38% done, 1 of 4 shards complete no run is writing it now 4 parts: 43 recordings"
    )
    assert "1.5 windows/s lately, from 3 actors, 2 of them lately; last commit " in said
    assert said.endswith("about 2:30 left")


def test_a_run_that_was_interrupted_and_one_that_has_not_begun(tmp_path: Path) -> None:
    output = begin(tmp_path)
    progress = read_progress(str(tmp_path))
    assert (progress.parts, progress.share, progress.last_commit) == (0, 0.0, None)
    assert (progress.windows_per_s, progress.seconds_left) == (None, None)
    assert run("status", tmp_path) == (
        0,
        "not finished: 0% done, 0 of 4 shards complete no run is writing it now "
        "0 parts: 0 recordings, 0 could not be used or not in full, 0 windows",
    )
    commit(output, "a-0", 0, 0.5, time.time() - 7200, "one")
    code, said = run("status", tmp_path)
    assert code == 0
    assert "from 1 actor, 1 of them lately; last commit 2:0" in said
    assert said.endswith("nothing was committed lately: if it was interrupted, the same command resumes it")


def test_shards_that_were_given_up(tmp_path: Path) -> None:
    output = begin(tmp_path, 2)
    commit(output, "a-0", 0, 1.0, time.time(), "one")
    lost = QuarantinedShard(shard_id="b-1", uri="b.tar", attempts=3, reason="it ate the actor")
    ManifestBuilder(output).write([lost])
    progress = read_progress(str(tmp_path))
    assert (progress.state, progress.share, progress.quarantined) == ("given_up", 0.5, [lost])
    assert "given up: b.tar after 3 attempts in 0 s: it ate the actor" in run("status", tmp_path)[1]


def test_no_run(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"it has no _run\.json"):
        read_progress(str(tmp_path / "nowhere"))


@pytest.mark.slow
def test_a_finished_run(tiny_run: TinyRun) -> None:
    progress = read_progress(tiny_run.output)
    assert (progress.state, progress.share, progress.seconds_left) == ("finished", 1.0, None)
    assert (progress.shards, progress.shards_done, progress.parts, progress.recordings, progress.windows) == (
        3,
        3,
        4,
        8,
        10,
    )
    assert progress.errors == {"empty": 1, "not_audio": 1, "truncated": 1}
    assert len(progress.actors) == 1
    assert progress.windows_per_s is not None
    code, said = run("status", tiny_run.output, "--json")
    told = json.loads(said)
    assert code == 0
    assert told["errors"] == progress.errors
    assert told["last_commit"].startswith("20")
    assert "finished: 100% done, 3 of 3 shards" in run("status", tiny_run.output)[1]
