"""`lmac train clap-mini`: a CLAP small enough to ship, from scratch and with no network."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from jobs.clap_mini_scores import print_zero_shot
from jobs.messages import console, fail, for_people
from jobs.training_progress import training_progress
from pipeline.datasets.clap_mini.measure import evaluate_zero_shot, load_saved
from pipeline.datasets.clap_mini.train import LEFT_BEHIND, train_clap_mini
from pipeline.storage.errors import storage_errors
from schemas.clap_mini_config import ClapMiniRecipe
from schemas.yaml_config import load_config

_TOLD_EVERY = 2000


def clap_mini(
    out: Annotated[Path, typer.Argument(help="Directory that the model is written to, in the Hugging Face format.")],
    config: Annotated[Path | None, typer.Option("--config", help="YAML with settings; options win over it.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Passes of training.mixtures mixtures.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Mixtures per step.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Highest learning rate.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of everything random.")] = None,
) -> None:
    """Train a small CLAP on synthetic mixtures and composed captions; it needs no data and no network."""
    going_on = "interrupted: the same command goes on from the last whole epoch"
    with for_people(going_on), storage_errors(f"writing to {out}"):
        loop = {"epochs": epochs, "batch_size": batch_size, "learning_rate": learning_rate, "seed": seed}
        recipe = load_config(ClapMiniRecipe, config, {f"training.loop.{name}": value for name, value in loop.items()})
        if (out / "config.json").exists():
            raise fail(f"{out} already holds a model: choose another place, or delete it first")
        scratch = out / "training"
        told = recipe.training
        console.print(f"{told.mixtures} mixtures to render, then {told.loop.epochs} epochs of them")
        with training_progress(told.loop.epochs) as (report, step):
            train_clap_mini(out, scratch, recipe, report, step, _rendered)
        # Only what training put there.
        for name in LEFT_BEHIND:
            (scratch / name).unlink(missing_ok=True)
        if not any(scratch.iterdir()):
            scratch.rmdir()
        print_zero_shot(evaluate_zero_shot(load_saved(out)))
        console.print(f"wrote {out}", markup=False)


def _rendered(done: int, total: int) -> None:
    if done % _TOLD_EVERY == 0 or done == total:
        console.print(f"rendered {done} of {total} mixtures")
