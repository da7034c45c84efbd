"""How far a run has come, judged by its output."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from pipeline.runs.output import RunOutput
from schemas.records import QuarantinedShard

# The rate is that of the commits in this time before the last one.
RECENT = timedelta(minutes=10)

State = Literal["finished", "given_up", "unfinished"]


@dataclass(frozen=True)
class Progress:
    """How far a run has come; `share` of the input is done, with all its shards taken as equally large.

    `errors` are by reason. `windows_per_s` and `seconds_left` come from the commits of the 10 minutes up to the last
    one, None if these do not say; `actors` are all that have committed, `recent_actors` those of these minutes.
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
    """What is kept of a commit: its counts, the share of its shard that it added, and when it was written."""

    windows: int
    recordings: int
    last: bool
    actor: str
    seconds: float
    gained: float
    written: datetime | None


def read_progress(output_url: str) -> Progress:
    """Read how far a run has come, during or after it; raises StorageError when there is none."""
    output = RunOutput(output_url)
    record = output.begun()
    steps, errors = _steps(output)
    manifest = output.read_manifest() if output.has_manifest() else None
    finished = manifest is not None and manifest.complete and output.succeeded()
    share = 1.0 if finished else min(sum(step.gained for step in steps) / max(record.shards, 1), 1.0)
    recent = _recent(steps)
    seconds = _seconds(recent)
    gained = sum(step.gained for step in recent) / max(record.shards, 1)
    return Progress(
        state="finished" if finished else "given_up" if manifest and manifest.quarantined else "unfinished",
        shards=record.shards,
        shards_done=sum(step.last for step in steps),
        share=share,
        parts=len(steps),
        recordings=sum(step.recordings for step in steps),
        windows=sum(step.windows for step in steps),
        errors=errors,
        quarantined=manifest.quarantined if manifest else [],
        actors=sorted({step.actor for step in steps if step.actor}),
        recent_actors=sorted({step.actor for step in recent if step.actor}),
        last_commit=max((step.written for step in steps if step.written), default=None),
        windows_per_s=sum(step.windows for step in recent) / seconds if seconds else None,
        seconds_left=(1 - share) / gained * seconds if seconds and gained > 0 and not finished else None,
    )


def _steps(output: RunOutput) -> tuple[list[_Step], dict[str, int]]:
    """Return a step for each commit, by shard and part, and the errors by reason, the most frequent first."""
    steps, before, errors = [], defaultdict[str, float](float), Counter[str]()
    files = output.commit_files()
    for file, commit in zip(files, output.read_commits(files), strict=True):
        gained = commit.share - before[commit.shard_id]
        before[commit.shard_id] = commit.share
        errors.update(commit.sums.reasons)
        steps.append(
            _Step(commit.windows, commit.recordings, commit.last, commit.actor, commit.seconds, gained, file.modified)
        )
    return steps, dict(sorted(errors.items(), key=lambda item: (-item[1], item[0])))


def _recent(steps: Sequence[_Step]) -> list[_Step]:
    latest = max((step.written for step in steps if step.written), default=None)
    return [step for step in steps if step.written and latest and latest - step.written <= RECENT]


def _seconds(recent: Sequence[_Step]) -> float:
    """Return the seconds from the start of the first of these parts to the commit of the last."""
    written = [(step.written.timestamp(), step.seconds) for step in recent if step.written]
    return max(at for at, _ in written) - min(at - took for at, took in written) if written else 0.0
