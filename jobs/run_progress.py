"""Progress of a run: a bar with recordings/s, the share done, the time left and the errors, or plain lines."""

from __future__ import annotations

import time

from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from jobs.messages import clock, console, counted
from pipeline.flow.cluster import PoolSize
from pipeline.flow.plan import Work
from pipeline.inputs.listing import Listing
from schemas.records import CommitRecord

# Without a terminal a line is printed at most this often.
LINE_EVERY_S = 5.0


class RunProgress:
    """Reports a run to the console, while its `bar` is entered."""

    def __init__(self) -> None:
        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[state]}"),
            console=console,
            disable=not console.is_terminal,
        )
        self.task = self.bar.add_task("explain", total=1.0, state="")
        self.total_bytes = 1
        self.sizes: dict[str, int] = {}
        self.done = self.done_before = 0.0
        self.recordings = self.windows = self.errors = 0
        self.started: float | None = None
        self.last_line = 0.0

    def planned(self, listing: Listing, work: list[Work]) -> None:
        self.sizes = {shard.shard_id: max(shard.size_bytes, 1) for shard in listing.shards}
        self.total_bytes = sum(self.sizes.values())
        left = sum(self.sizes[one.shard.shard_id] * (1 - one.share) for one in work)
        self.done = self.done_before = 1 - left / self.total_bytes
        console.print(f"input: {listing.describe()}", markup=False)
        if not work:
            console.print("everything is committed already")
        elif self.done or any(one.first for one in work):
            left_shards = f"{counted(len(work), 'shard')} {'is' if len(work) == 1 else 'are'} left"
            console.print(f"resuming: {self.done:.0%} of the input is done, {left_shards}")
        self._show("starting Ray")

    def cluster_ready(self, size: PoolSize) -> None:
        cores = "one GPU" if size.gpus else counted(size.cpus, "CPU core")
        console.print(f"{counted(size.actors, 'actor')} on {cores}{' each' * (size.actors > 1)}")
        self._show("loading the explainer")

    def committed(self, record: CommitRecord, before: float) -> None:
        # The rate is counted from the first part on: what comes before is start-up.
        first = self.started is None
        self.started = self.started or time.monotonic() - record.seconds
        self.done += (record.share - before) * self.sizes[record.shard_id] / self.total_bytes
        self.recordings += record.recordings
        self.windows += record.windows
        self.errors += record.errors
        now = time.monotonic()
        seconds = max(now - self.started, 1e-3)
        rate = self.recordings / seconds
        gained = self.done - self.done_before
        left = seconds * (1 - self.done) / gained if gained > 0 else None
        state = f"{counted(self.recordings, 'recording')}, {rate:.1f} recordings/s"
        state += f", {clock(left)} left" if left is not None and self.done < 1 else ""
        state += f", {counted(self.errors, 'error')}"
        self._show(state)
        if not console.is_terminal and (first or now - self.last_line > LINE_EVERY_S or self.done >= 1 - 1e-9):
            self.last_line = now
            console.print(f"{self.done:4.0%} {state}")

    def note(self, text: str) -> None:
        console.print(f"[yellow]note:[/] {escape(text)}")

    def stopped(self) -> None:
        """Print what is committed of a run that was stopped."""
        done = f"{min(self.done, 1.0):.0%} of the input is committed"
        own = f"{counted(self.recordings, 'recording')} in {counted(self.windows, 'window')}"
        console.print(f"stopped: {done}, {own} of it by this run")

    def _show(self, state: str) -> None:
        self.bar.update(self.task, completed=min(self.done, 1.0), state=state)
