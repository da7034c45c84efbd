"""Progress of an evaluation: a bar for each audio and method; else a line for each."""

from __future__ import annotations

import time

from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from jobs.messages import console


class EvaluationProgress:
    """Reports an evaluation to the console, while its `bar` is entered."""

    def __init__(self) -> None:
        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self.task = self.bar.add_task("loading", total=None)
        self.what, self.total, self.done, self.started = "", 0, 0, 0.0

    def begin(self, what: str, total: int) -> None:
        self.what, self.total, self.done, self.started = what, total, 0, time.monotonic()
        self.bar.reset(self.task, description=escape(what), total=total)

    def step(self, count: int) -> None:
        self.done += count
        self.bar.update(self.task, completed=self.done)
        if self.done >= self.total:
            console.print(f"{self.what}: {time.monotonic() - self.started:.1f} s", markup=False)

    def note(self, text: str) -> None:
        console.print(text, markup=False)
