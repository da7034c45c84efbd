"""The console output of `lmac evaluate`: its progress, and the means at its end."""

from __future__ import annotations

import time
from types import TracebackType

from rich.markup import escape
from rich.table import Table

from jobs.messages import console, counting_bar, errors
from pipeline.evaluation import prepare
from pipeline.evaluation.evaluate import EvaluationResult

_SHOWN = {
    "mask_mean": "mask",
    "energy_kept": "energy",
    "ad": "AD %",
    "ff": "FF",
    "fid_in": "Fid-In",
    "ad_audio": "AD written",
}


class ConsoleProgress(prepare.Progress):
    """A progress bar for each audio and method while entered; a line for each if the output is not a terminal."""

    def __init__(self) -> None:
        self.bar = counting_bar()
        self.task = self.bar.add_task("loading", total=None)
        self.what, self.total, self.done, self.started = "", 0, 0, 0.0

    def __enter__(self) -> ConsoleProgress:
        self.bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bar.stop()

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

    def left_out(self, key: str, reason: str) -> None:
        errors.print(f"left out: {key}: {reason}", markup=False)


def print_result(result: EvaluationResult) -> None:
    """Print a table of means for each audio, and the path of the report."""
    record = result.record
    for audio in record["audio"]:
        shown = Table(title=escape(audio), title_justify="left", box=None, pad_edge=False)
        for name in ("method", "mask by"):
            shown.add_column(name, no_wrap=True)
        for name in _SHOWN.values():
            shown.add_column(name, justify="right")
        for row in result.summary:
            if row["audio"] == audio:
                shown.add_row(escape(row["method"]), row["mask"], *(f"{row[score]:.2f}" for score in _SHOWN))
        console.print(shown)
    if record["accuracy"] is not None:
        console.print(f"{record['accuracy']:.1%} of the clean windows with a known label are classified as labelled")
    console.print(
        f"{record['recordings']} recordings in {record['windows']} windows; mean p of the decisions {record['p']:.2f}"
    )
    console.print(f"the report: {result.report}", markup=False)
