"""The console output of a training: a bar within the epoch and a line per epoch, or only lines without a terminal."""

from __future__ import annotations

from types import TracebackType

from jobs.messages import console, counting_bar, errors
from pipeline.training.loop import Progress as Epoch
from pipeline.training.workspace import Reporter, TrainingResult

_RENDERED_EVERY = 2000


class TrainingProgress(Reporter):
    """Prints the progress of a training to the console, with a bar while entered."""

    def __init__(self) -> None:
        self._bar = counting_bar()
        self._task = self._bar.add_task("reading", total=None)

    def __enter__(self) -> TrainingProgress:
        self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._bar.stop()

    def skipped(self, key: str, reason: str) -> None:
        errors.print(f"left out: {key}: {reason}", markup=False)

    def rendered(self, done: int, total: int) -> None:
        self._bar.update(self._task, description="rendering mixtures", completed=done, total=total)
        if done % _RENDERED_EVERY == 0 or done == total:
            console.print(f"rendered {done} of {total} mixtures")

    def started(self, how: str, windows: int, epochs: int) -> None:
        console.print(f"{how}; {windows} windows to train on", markup=False)
        description = f"epoch 1 of {epochs}" if epochs else "embedding windows"
        self._bar.update(self._task, description=description, completed=0)

    def step(self, done: int, total: int) -> None:
        self._bar.update(self._task, completed=done, total=total)

    def epoch(self, progress: Epoch) -> None:
        train, held_out = (
            " ".join(f"{name} {value:.3f}" for name, value in scores.items())
            for scores in (progress.train, progress.validation)
        )
        kept = " (kept)" if progress.best else ""
        line = f"epoch {progress.epoch} of {progress.epochs}: {train}"
        console.print(f"{line}; validation: {held_out}{kept}" if held_out else line)
        following = min(progress.epoch + 1, progress.epochs)
        self._bar.update(self._task, description=f"epoch {following} of {progress.epochs}", completed=0)


def print_result(result: TrainingResult) -> None:
    """Print a line for each set's scores, and the path of the explainer."""
    for part, scores in result.scores.items():
        shown = ", ".join(f"{name} {value:.3f}" for name, value in scores.items() if not name.startswith("train_"))
        console.print(f"{part}: {shown}", markup=False)
    console.print(f"wrote {result.path}", markup=False)
