"""`lmac train`: a command for each kind of training.

Each imports its training on use, as torch, scikit-learn and scipy take seconds to import.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jobs.device_option import Device
from jobs.input_options import FROM_OPTIONS, InputOptions, reads_input
from jobs.messages import console, for_people, shown_command
from jobs.training_options import (
    Address,
    Batch,
    ConfigFile,
    Data,
    Epochs,
    Name,
    Out,
    Patience,
    Prompts,
    Rate,
    Seed,
    Select,
    Template,
    Test,
    Validation,
    Windows,
    WindowSeconds,
    Workers,
)
from pipeline.lmac.arguments import choose_device
from pipeline.lmac.memory import keep_freed_memory
from schemas.clap_mini_config import ClapMiniRecipe
from schemas.input_config import InputConfig
from schemas.training_config import ClassifierRecipe, DecoderRecipe
from schemas.yaml_config import load_config

if TYPE_CHECKING:
    from pipeline.training.workspace import TrainingResult

_RESUME = "interrupted: the same command resumes after the last complete epoch"

train_app = typer.Typer(no_args_is_help=True, help="Train a classifier, or a mask decoder for one.")


@train_app.command()
@reads_input()
def classifier(
    data: Data,
    out: Out,
    reading: InputOptions = FROM_OPTIONS,
    select: Select = None,
    validation: Validation = "0.1",
    test: Test = None,
    windows: Windows = None,
    config: ConfigFile = None,
    name: Name = None,
    epochs: Epochs = None,
    batch_size: Batch = None,
    learning_rate: Rate = None,
    patience: Patience = None,
    seed: Seed = None,
    device: Device = "auto",
    workers: Workers = 1,
    address: Address = None,
) -> None:
    """Train a classifier from labelled audio: a table of labels, JSON sidecars, or folders named by class."""
    from jobs.training_progress import TrainingProgress, print_result
    from pipeline.training.classifier import train_classifier

    with for_people(_RESUME), TrainingProgress() as progress:
        loop = _loop(epochs, batch_size, learning_rate, seed, patience)
        result = _shared_by(workers, address, device, train_classifier)(
            data,
            out,
            recipe=load_config(ClassifierRecipe, config, {"name": name, **loop}),
            reading=load_config(InputConfig, None, reading),
            select=select or (),
            validation=validation,
            test=test,
            windows=windows,
            device=device,
            reporter=progress,
            command=_typed(),
        )
        print_result(result)


@train_app.command()
@reads_input("label_column", "label_separator")
def decoder(
    data: Data,
    out: Out,
    classifier: Annotated[
        str, typer.Option(help="The classifier: an explainer's name, path or URL, or clap:WHERE with --prompts.")
    ],
    prompts: Prompts = None,
    template: Template = None,
    window_s: WindowSeconds = None,
    objective: Annotated[
        str | None,
        typer.Option(help="lmac-zs: a prompted decoder, for a CLAP; lmac-reference: the paper's own terms."),
    ] = None,
    wordings: Annotated[
        str | None,
        typer.Option(help="For lmac-zs, more prompts to train on, without --template; they do not become classes."),
    ] = None,
    start: Annotated[
        str | None,
        typer.Option(help="An explainer whose decoder to start from (fine-tuning); by default random weights."),
    ] = None,
    reading: InputOptions = FROM_OPTIONS,
    select: Select = None,
    validation: Validation = "0.1",
    test: Test = None,
    windows: Windows = None,
    config: ConfigFile = None,
    name: Name = None,
    epochs: Epochs = None,
    batch_size: Batch = None,
    learning_rate: Rate = None,
    patience: Patience = None,
    seed: Seed = None,
    device: Device = "auto",
    workers: Workers = 1,
    address: Address = None,
) -> None:
    """Train a mask decoder for a frozen classifier, without labels; the columns of --labels serve selections only."""
    from jobs.training_progress import TrainingProgress, print_result
    from pipeline.training.decoder import train_decoder

    with for_people(_RESUME), TrainingProgress() as progress:
        loop = _loop(epochs, batch_size, learning_rate, seed, patience)
        result = _shared_by(workers, address, device, train_decoder)(
            data,
            out,
            classifier=classifier,
            recipe=load_config(DecoderRecipe, config, {"name": name, "training.objective": objective, **loop}),
            prompts=prompts,
            templates=template or (),
            window_s=window_s,
            wordings=wordings,
            start=start,
            reading=load_config(InputConfig, None, reading),
            select=select or (),
            validation=validation,
            test=test,
            windows=windows,
            device=device,
            reporter=progress,
            command=_typed(),
        )
        print_result(result)


@train_app.command()
@reads_input()
def head(
    data: Data,
    out: Out,
    classifier: Annotated[str, typer.Option(help="clap:WHERE, the CLAP whose embeddings are classified.")],
    reading: InputOptions = FROM_OPTIONS,
    select: Select = None,
    validation: Validation = "0.1",
    test: Test = None,
    windows: Windows = None,
    name: Annotated[str, typer.Option(help="The explainer's name.")] = "clap-head",
    window_s: WindowSeconds = None,
    seed: Annotated[int, typer.Option(help="Seed of everything random.")] = 0,
    device: Device = "auto",
) -> None:
    """Train a linear head on the embeddings of a frozen CLAP, from labelled audio."""
    from jobs.training_progress import TrainingProgress, print_result
    from pipeline.training.head import train_head

    with for_people(), TrainingProgress() as progress:
        result = train_head(
            data,
            out,
            classifier=classifier,
            name=name,
            window_s=window_s,
            reading=load_config(InputConfig, None, reading),
            select=select or (),
            validation=validation,
            test=test,
            windows=windows,
            seed=seed,
            device=device,
            reporter=progress,
            command=_typed(),
        )
        print_result(result)


@train_app.command()
def clap_mini(
    out: Annotated[
        Path,
        typer.Argument(metavar="OUTPUT", help="Directory that the model is written to, in the Hugging Face format."),
    ],
    config: ConfigFile = None,
    epochs: Epochs = None,
    batch_size: Batch = None,
    learning_rate: Rate = None,
    seed: Seed = None,
    device: Device = "auto",
) -> None:
    """Train a small CLAP on synthetic mixtures and composed captions; it needs no data and no network."""
    from jobs.clap_mini_scores import print_zero_shot
    from jobs.training_progress import TrainingProgress
    from pipeline.datasets.clap_mini.measure import evaluate_zero_shot, load_saved
    from pipeline.datasets.clap_mini.train import train_clap_mini

    with for_people(_RESUME), TrainingProgress() as progress:
        keep_freed_memory(choose_device(device))
        recipe = load_config(ClapMiniRecipe, config, _loop(epochs, batch_size, learning_rate, seed))
        train_clap_mini(out, recipe, progress, device=device)
        print_zero_shot(evaluate_zero_shot(load_saved(out)))
        console.print(f"wrote {out}", markup=False)


def _loop(
    epochs: int | None,
    batch_size: int | None,
    learning_rate: float | None,
    seed: int | None,
    patience: int | None = None,
) -> Mapping[str, Any]:
    """Return the options of the training loop by their names in a recipe."""
    loop = {
        "epochs": epochs,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "seed": seed,
        "patience": patience,
    }
    return {f"training.loop.{name}": value for name, value in loop.items()}


def _shared_by(
    workers: int, address: str | None, device: str, training: Callable[..., TrainingResult]
) -> Callable[..., TrainingResult]:
    """Return a training as so many workers do it together, or as it is for this process alone."""
    if workers == 1 and address is None:
        keep_freed_memory(choose_device(device))
        return training
    from pipeline.flow.train import train_on_workers  # Ray takes seconds to import

    return partial(train_on_workers, training, workers=workers, address=address)


def _typed() -> str:
    return shown_command(sys.argv[1:])
