"""`lmac train classifier` and `lmac train decoder`: from audio to an explainer directory."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Annotated, Any, TypeVar

import torch
import typer
from pydantic import BaseModel

from jobs.messages import console, errors, fail, for_people, shown_command
from jobs.training_progress import training_progress
from pipeline.lmac.holdout import Split, split
from pipeline.lmac.model_card import model_card
from pipeline.lmac.train_classifier import ClassifierTask, clip_accuracy
from pipeline.lmac.train_decoder import DecoderTask, mean_faithfulness
from pipeline.lmac.training import Scores, Task, fit
from pipeline.lmac.windowset import load_windows
from pipeline.models.build import build_classifier, build_decoder
from pipeline.models.checkpoint import has_explainer, load_card, load_explainer, save_explainer
from pipeline.models.decoder import Decoder
from pipeline.storage.filesystem import display_url, is_url
from pipeline.storage.labels import load_labels
from schemas.explainer_config import ExplainerConfig
from schemas.training_config import ClassifierRecipe, DecoderRecipe, LoopConfig
from schemas.yaml_config import load_config

train_app = typer.Typer(no_args_is_help=True, help="Train a classifier, or a mask decoder for one.")

Data = Annotated[str, typer.Argument(help="Audio: anything that `lmac explain` takes.")]
Out = Annotated[str, typer.Argument(help="Directory (path or URL) that the explainer is written to.")]
Labels = Annotated[str | None, typer.Option(help="CSV or JSONL with a row per clip: path, label, more columns.")]
LabelColumn = Annotated[str | None, typer.Option(help="Column of the label; else label, category or class.")]
Select = Annotated[list[str] | None, typer.Option(help="Train only where COLUMN=VALUE,VALUE...; repeatable.")]
Validation = Annotated[
    str, typer.Option(help="Held out to choose the epoch: COLUMN=VALUE,VALUE..., a share like 0.1, or none.")
]
Test = Annotated[str | None, typer.Option(help="Scored once, at the end: COLUMN=VALUE,VALUE...")]
ConfigFile = Annotated[Path | None, typer.Option("--config", help="YAML with settings; options win over it.")]
Epochs = Annotated[int | None, typer.Option(help="Passes over the data.")]
Batch = Annotated[int | None, typer.Option(help="Windows per step.")]
Rate = Annotated[float | None, typer.Option(help="Highest learning rate.")]
Patience = Annotated[int | None, typer.Option(help="Stop after so many epochs without a better one; 0: never.")]
Seed = Annotated[int | None, typer.Option(help="Seed of everything random.")]
Name = Annotated[str | None, typer.Option(help="The explainer's name.")]

R = TypeVar("R", bound=BaseModel)


@train_app.command("classifier")
def classifier(
    data: Data,
    out: Out,
    labels: Labels = None,
    label_column: LabelColumn = None,
    select: Select = None,
    validation: Validation = "0.1",
    test: Test = None,
    config: ConfigFile = None,
    name: Name = None,
    epochs: Epochs = None,
    batch_size: Batch = None,
    learning_rate: Rate = None,
    patience: Patience = None,
    seed: Seed = None,
) -> None:
    """Train a classifier from labelled audio: a CSV, JSON sidecars, or folders named by class."""
    with for_people(_RESUME):
        recipe = _recipe(ClassifierRecipe, config, name, epochs, batch_size, learning_rate, patience, seed)
        scratch = _prepare(out)
        table = load_labels(labels, label_column) if labels else None
        windows = load_windows(
            data,
            recipe.front_end,
            scratch,
            labels=table,
            label_column=label_column,
            need_labels=True,
            on_skip=_skipped,
        )
        sets = split(windows, select or [], validation, test, recipe.training.loop.seed)
        explainer = ExplainerConfig(
            name=recipe.name,
            labels=windows.classes,
            front_end=recipe.front_end,
            classifier=recipe.classifier,
        )
        torch.manual_seed(recipe.training.loop.seed)
        model = build_classifier(explainer)
        task = ClassifierTask(model, sets.train, sets.validation, recipe.training)
        scores = _fit(task, recipe.training.loop, sets, scratch, recipe.model_dump_json())
        if sets.test is not None:
            scores["test"] = clip_accuracy(model, sets.test)
        card = model_card(recipe.name, "classifier", sets.how, _command(), scores)
        save_explainer(out, explainer, model, None, card)
        _finish(out, scratch, scores)


@train_app.command("decoder")
def decoder(
    data: Data,
    out: Out,
    classifier: Annotated[str, typer.Option(help="The classifier: an explainer's name, path or URL.")],
    start: Annotated[
        str | None, typer.Option(help="An explainer whose decoder to go on from, as for fine-tuning; else anew.")
    ] = None,
    labels: Labels = None,
    select: Select = None,
    validation: Validation = "0.1",
    test: Test = None,
    config: ConfigFile = None,
    name: Name = None,
    epochs: Epochs = None,
    batch_size: Batch = None,
    learning_rate: Rate = None,
    patience: Patience = None,
    seed: Seed = None,
) -> None:
    """Train a mask decoder for a frozen classifier; of --labels only the columns to select by are used."""
    with for_people(_RESUME):
        recipe = _recipe(DecoderRecipe, config, name, epochs, batch_size, learning_rate, patience, seed)
        scratch = _prepare(out)
        loaded = load_explainer(classifier)
        explainer = loaded.config.model_copy(
            update={
                "name": recipe.name or loaded.config.name,
                "decoder": recipe.decoder.fitted(len(loaded.classifier.representation_channels)),
                "mask_domain": recipe.mask_domain,
            }
        )
        table = load_labels(labels) if labels else None
        windows = load_windows(data, explainer.front_end, scratch, labels=table, on_skip=_skipped)
        sets = split(windows, select or [], validation, test, recipe.training.loop.seed)
        torch.manual_seed(recipe.training.loop.seed)
        model = build_decoder(explainer, loaded.classifier)
        begun = _go_on_from(start, model, explainer) if start else ""
        task = DecoderTask(
            model, loaded.classifier, sets.train, sets.validation, recipe.training, explainer.mask_domain
        )
        scores = _fit(task, recipe.training.loop, sets, scratch, f"{loaded.digest}{begun}-{recipe.model_dump_json()}")
        if sets.test is not None:
            scores["test"] = mean_faithfulness(loaded.classifier, model, sets.test, explainer.mask_domain)
        card = model_card(explainer.name, "decoder", sets.how, _command(), scores, load_card(classifier))
        save_explainer(out, explainer, loaded.classifier, model, card)
        _finish(out, scratch, scores)


_RESUME = "interrupted: the same command goes on from the last whole epoch"


def _recipe(
    kind: type[R],
    config: Path | None,
    name: str | None,
    epochs: int | None,
    batch_size: int | None,
    learning_rate: float | None,
    patience: int | None,
    seed: int | None,
) -> R:
    loop: dict[str, Any] = {
        "epochs": epochs,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "patience": patience,
        "seed": seed,
    }
    options = {f"training.loop.{key}": value for key, value in loop.items()}
    return load_config(kind, config, {"name": name, **options})


def _go_on_from(start: str, model: Decoder, explainer: ExplainerConfig) -> str:
    """Give the decoder the weights of another one of its shape; the digest of where they came from."""
    found = load_explainer(start)
    shape = {"decoder", "classifier", "front_end"}
    if found.decoder is None or found.config.model_dump(include=shape) != explainer.model_dump(include=shape):
        raise fail(
            f"--start {display_url(start)}: its decoder is {found.config.decoder or 'not there'}, the one to train is "
            f"{explainer.decoder}: they, their classifiers' shapes and their front ends must be alike"
        )
    model.load_state_dict(found.decoder.state_dict())
    return f"-{found.digest}"


def _prepare(out: str) -> Path:
    """The folder for windows and checkpoints, beside or instead of an output that may be far away."""
    if has_explainer(out):
        raise fail(f"{out} already holds an explainer: choose another place, or delete it first")
    if is_url(out):
        return Path(f"lmac-training-{re.sub(r'[^A-Za-z0-9]+', '-', out).strip('-')}")
    return Path(out) / "training"


def _skipped(key: str, reason: str) -> None:
    errors.print(f"left out: {key}: {reason}", markup=False)


def _fit(task: Task, loop: LoopConfig, sets: Split, scratch: Path, recipe: str) -> dict[str, Scores]:
    console.print(f"{sets.how}; {task.n_windows} windows to train on", markup=False)
    held_out = sets.validation.digest() if sets.validation is not None else "none"
    fingerprint = f"{sets.train.digest()}-{held_out}-{recipe}"
    with training_progress(loop.epochs) as (report, step):
        state = fit(task, loop, scratch / "checkpoint.pt", fingerprint, report, step)
    return {"validation": state.history[state.best_epoch]} if sets.validation is not None else {}


def _command() -> str:
    return shown_command(sys.argv[1:])


def _finish(out: str, scratch: Path, scores: dict[str, Scores]) -> None:
    # Only what training put there, for OUT/training may be a folder with something else in it.
    for name in ("windows.i16", "checkpoint.pt", "checkpoint.partial"):
        (scratch / name).unlink(missing_ok=True)
    if not any(scratch.iterdir()):
        scratch.rmdir()
    for part, values in scores.items():
        shown = ", ".join(f"{key} {value:.3f}" for key, value in values.items() if not key.startswith("train_"))
        console.print(f"{part}: {shown}", markup=False)
    console.print(f"wrote {out}", markup=False)
