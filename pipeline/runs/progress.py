"""How far a run is, by what is in its output."""

from __future__ import annotations

import io
from collections import Counter, defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

import pyarrow.parquet as pq

from pipeline.runs.output import RunOutput
from schemas.records import CommitRecord, QuarantinedShard

_READ_THREADS = 16
# The rate is that of the commits in so long before the last one.
RECENT = timedelta(minutes=10)

State = Literal["finished", "given_up", "unfinished"]


@dataclass(frozen=True)
class Progress:
    """How far a run is; `share` of the input is done, each of its shards taken for as large as another.

    `errors` are by reason. `windows_per_s` and `seconds_left` are by the commits of the 10 minutes up to the last one,
    None where those do not say; `actors` are all that have committed, `recent_actors` those of these minutes.
    """

    state: State
    shards: int
    shards_done: int
    share: float
    parts: int
    recordings: int
    windows: int
    errors: dict[str, int]
    quarantined: list[QuarantinedShard]
    actors: list[str]
    recent_actors: list[str]
    last_commit: datetime | None
    windows_per_s: float | None
    seconds_left: float | None


@dataclass(frozen=True)
class _Step:
    """A commit, how much of its shard it has added, and when it was written."""

    commit: CommitRecord
    gained: float
    written: datetime | None


def read_progress(output_url: str) -> Progress:
    """Read how far a run is, while it goes on or after; raises StorageError when there is none."""
    output = RunOutput(output_url)
    record = output.begun()
    steps = _steps(output)
    commits = [step.commit for step in steps]
    manifest = output.read_manifest() if output.has_manifest() else None
    finished = manifest is not None and manifest.complete and output.succeeded()
    share = 1.0 if finished else min(sum(step.gained for step in steps) / max(record.shards, 1), 1.0)
    recent = _recent(steps)
    seconds = _seconds(recent)
    gained = sum(step.gained for step in recent) / max(record.shards, 1)
    return Progress(
        state="finished" if finished else "given_up" if manifest and manifest.quarantined else "unfinished",
        shards=record.shards,
        shards_done=sum(commit.last for commit in commits),
        share=share,
        parts=len(commits),
        recordings=sum(commit.recordings for commit in commits),
        windows=sum(commit.windows for commit in commits),
        errors=_errors(output, commits),
        quarantined=manifest.quarantined if manifest else [],
        actors=sorted({commit.actor for commit in commits if commit.actor}),
        recent_actors=sorted({step.commit.actor for step in recent if step.commit.actor}),
        last_commit=max((step.written for step in steps if step.written), default=None),
        windows_per_s=sum(step.commit.windows for step in recent) / seconds if seconds else None,
        seconds_left=(1 - share) / gained * seconds if seconds and gained > 0 and not finished else None,
    )


def _steps(output: RunOutput) -> list[_Step]:
    files = output.commit_files()
    with ThreadPoolExecutor(_READ_THREADS) as pool:
        commits = list(pool.map(lambda file: output.read_commit(file.path), files))
    steps, before = [], defaultdict[str, float](float)
    # Sorted by path, and so by part.
    for file, commit in zip(files, commits, strict=True):
        steps.append(_Step(commit, commit.share - before[commit.shard_id], file.modified))
        before[commit.shard_id] = commit.share
    return steps


def _recent(steps: Sequence[_Step]) -> list[_Step]:
    latest = max((step.written for step in steps if step.written), default=None)
    return [step for step in steps if step.written and latest and latest - step.written <= RECENT]


def _seconds(recent: Sequence[_Step]) -> float:
    """From where the first of the parts was begun to where the last was written."""
    written = [(step.written.timestamp(), step.commit.seconds) for step in recent if step.written]
    return max(at for at, _ in written) - min(at - took for at, took in written) if written else 0.0


def _errors(output: RunOutput, commits: Sequence[CommitRecord]) -> dict[str, int]:
    def reasons(path: str) -> list[str]:
        column: list[str] = pq.read_table(io.BytesIO(output.read_bytes(path)), columns=["reason"])["reason"].to_pylist()
        return column

    paths = [file.path for commit in commits for file in commit.files if file.table == "errors"]
    with ThreadPoolExecutor(_READ_THREADS) as pool:
        counted = Counter(reason for found in pool.map(reasons, paths) for reason in found)
    return dict(sorted(counted.items(), key=lambda item: (-item[1], item[0])))
