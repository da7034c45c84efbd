"""Progress of a training: a bar within the epoch and a line for each, or lines alone when nobody watches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from jobs.messages import console
from pipeline.training.loop import Progress as Epoch


@contextmanager
def training_progress(epochs: int) -> Iterator[tuple[Callable[[Epoch], None], Callable[[int, int], None]]]:
    """Two functions for `fit`: one reports an epoch, one a step."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("steps"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        bar = progress.add_task(f"epoch 1 of {epochs}")

        def step(done: int, total: int) -> None:
            progress.update(bar, completed=done, total=total)

        def report(epoch: Epoch) -> None:
            train = " ".join(f"{name} {value:.3f}" for name, value in epoch.train.items())
            held_out = " ".join(f"{name} {value:.3f}" for name, value in epoch.validation.items())
            kept = " (kept)" if epoch.best and epoch.validation else ""
            line = f"epoch {epoch.epoch} of {epoch.epochs}: {train}"
            console.print(f"{line}; validation: {held_out}{kept}" if held_out else line)
            progress.update(bar, description=f"epoch {min(epoch.epoch + 1, epochs)} of {epochs}", completed=0)

        yield report, step
