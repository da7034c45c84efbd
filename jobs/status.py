"""`lmac status`: how far a run has come."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from typing import Annotated

import typer

from jobs.messages import clock, console, counted, for_people
from pipeline.runs.lease import Holder, living_holder
from pipeline.runs.output import RunOutput
from pipeline.runs.progress import RECENT, Progress, read_progress


def status(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Output of `lmac explain`; path or s3:// URL.")],
    as_json: Annotated[bool, typer.Option("--json", help="As JSON, for programs.")] = False,
) -> None:
    """Show how far a run has come, from its output alone: while it runs, after an interruption, or after its end."""
    with for_people():
        progress = read_progress(run)
        holder = living_holder(RunOutput(run))
    if as_json:
        quarantined = [shard.model_dump() for shard in progress.quarantined]
        last = progress.last_commit.isoformat() if progress.last_commit else None
        writer = holder.record.model_dump(mode="json") | {"age_s": holder.age_s} if holder else None
        typer.echo(
            json.dumps(
                {**vars(progress), "quarantined": quarantined, "last_commit": last, "written_by": writer}, indent=2
            )
        )
    else:
        _print(progress, holder)


def _print(progress: Progress, holder: Holder | None) -> None:
    words = {"finished": "finished", "given_up": "incomplete: shards were given up", "unfinished": "not finished"}
    done = f"{progress.share:.0%} done, {progress.shards_done} of {progress.shards} shards complete"
    console.print(f"{words[progress.state]}: {done}")
    if holder is not None:
        console.print(f"being written by {holder.describe()}", markup=False)
    elif progress.state == "unfinished":
        console.print("no run is writing it now")
    failed = sum(progress.errors.values())
    recordings = f"{counted(progress.recordings, 'recording')}, {failed} could not be used or not in full"
    console.print(f"{counted(progress.parts, 'part')}: {recordings}, {counted(progress.windows, 'window')}")
    for reason, count in progress.errors.items():
        console.print(f"  {reason}: {count}", markup=False)
    for shard in progress.quarantined:
        tried = f"{counted(shard.attempts, 'attempt')} in {shard.seconds:.0f} s"
        console.print(f"given up: {shard.uri} after {tried}: {shard.reason}", markup=False)
    if progress.last_commit is None:
        return
    ago = (datetime.now(timezone.utc) - progress.last_commit).total_seconds()
    if progress.state == "finished":
        console.print(f"{counted(len(progress.actors), 'actor')}; last commit {clock(max(ago, 0))} ago")
        return
    actors = f"{counted(len(progress.actors), 'actor')}, {len(progress.recent_actors)} of them lately"
    rate = f"{progress.windows_per_s:.1f} windows/s lately" if progress.windows_per_s is not None else "no rate known"
    console.print(f"{rate}, from {actors}; last commit {clock(max(ago, 0))} ago")
    if ago > RECENT.total_seconds():
        console.print("nothing was committed lately: if it was interrupted, the same command resumes it")
    elif progress.seconds_left is not None:
        console.print(f"about {clock(progress.seconds_left)} left")
