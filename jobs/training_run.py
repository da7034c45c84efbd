"""What every training does around its steps: settings, a folder to work in, progress, and what is said at the end."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel

from jobs.messages import console, errors, fail, shown_command
from jobs.training_progress import training_progress
from pipeline.models.checkpoint import has_explainer
from pipeline.storage.filesystem import is_url
from pipeline.training.holdout import Split
from pipeline.training.loop import Scores, Task, fit
from schemas.training_config import LoopConfig
from schemas.yaml_config import load_config

R = TypeVar("R", bound=BaseModel)

RESUME = "interrupted: the same command goes on from the last whole epoch"


def recipe_of(
    kind: type[R],
    config: Path | None,
    name: str | None,
    epochs: int | None,
    batch_size: int | None,
    learning_rate: float | None,
    patience: int | None,
    seed: int | None,
    more: Mapping[str, Any] | None = None,
) -> R:
    """A recipe: its defaults, the YAML over them, options over both; `more` are options by their dotted names."""
    loop: dict[str, Any] = {
        "epochs": epochs,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "patience": patience,
        "seed": seed,
    }
    options = {f"training.loop.{key}": value for key, value in loop.items()}
    return load_config(kind, config, {"name": name, **options, **(more or {})})


def prepared_folder(out: str) -> Path:
    """The folder for windows and checkpoints, beside or instead of an output that may be far away."""
    if has_explainer(out):
        raise fail(f"{out} already holds an explainer: choose another place, or delete it first")
    if is_url(out):
        return Path(f"lmac-training-{re.sub(r'[^A-Za-z0-9]+', '-', out).strip('-')}")
    return Path(out) / "training"


def say_skipped(key: str, reason: str) -> None:
    """Tell of a recording that is not trained on."""
    errors.print(f"left out: {key}: {reason}", markup=False)


def fit_reporting(task: Task, loop: LoopConfig, sets: Split, scratch: Path, recipe: str) -> dict[str, Scores]:
    """Train with a bar and a line per epoch; the scores of the epoch that was kept, if any were held out."""
    console.print(f"{sets.how}; {task.n_windows} windows to train on", markup=False)
    held_out = sets.validation.digest() if sets.validation is not None else "none"
    fingerprint = f"{sets.train.digest()}-{held_out}-{recipe}"
    with training_progress(loop.epochs) as (report, step):
        state = fit(task, loop, scratch / "checkpoint.pt", fingerprint, report, step)
    return {"validation": state.history[state.best_epoch]} if sets.validation is not None else {}


def typed_command() -> str:
    """The command line as an explainer's README shows it."""
    return shown_command(sys.argv[1:])


def finish(out: str, scratch: Path, scores: dict[str, Scores]) -> None:
    """Clear the folder of windows and checkpoints, and say what was reached and where it was written."""
    # Only what training put there, for OUT/training may be a folder with something else in it.
    for name in ("windows.i16", "checkpoint.pt", "checkpoint.partial"):
        (scratch / name).unlink(missing_ok=True)
    if not any(scratch.iterdir()):
        scratch.rmdir()
    for part, values in scores.items():
        shown = ", ".join(f"{key} {value:.3f}" for key, value in values.items() if not key.startswith("train_"))
        console.print(f"{part}: {shown}", markup=False)
    console.print(f"wrote {out}", markup=False)
