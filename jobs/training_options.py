"""Arguments and options that several trainings share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Data = Annotated[str, typer.Argument(metavar="INPUT", help="Audio: anything that `lmac explain` reads.")]
Out = Annotated[str, typer.Argument(metavar="OUTPUT", help="Directory (path or URL) that the explainer is written to.")]
Select = Annotated[list[str] | None, typer.Option(help="Train only where COLUMN=VALUE,VALUE...; repeatable.")]
Validation = Annotated[
    str, typer.Option(help="Held out to choose the epoch: COLUMN=VALUE,VALUE..., a share like 0.1, or none.")
]
Test = Annotated[str | None, typer.Option(help="Scored once, at the end: COLUMN=VALUE,VALUE...")]
Windows = Annotated[
    int | None,
    typer.Option(min=1, help="Maximum number of windows, held-out ones included, drawn by a hash. [default: all]"),
]
ConfigFile = Annotated[Path | None, typer.Option("--config", help="YAML with settings; options override it.")]
Epochs = Annotated[int | None, typer.Option(help="Passes over the data, or over the mixtures.")]
Batch = Annotated[int | None, typer.Option(help="Windows (or mixtures) per step.")]
Rate = Annotated[float | None, typer.Option(help="Highest learning rate.")]
Patience = Annotated[int | None, typer.Option(help="Stop after this many epochs without improvement; 0: never.")]
Seed = Annotated[int | None, typer.Option(help="Seed of everything random.")]
Name = Annotated[str | None, typer.Option(help="The explainer's name.")]
Prompts = Annotated[str | None, typer.Option(help='Classes of a CLAP: "a dog barking; rain", or a .txt file.')]
Template = Annotated[
    list[str] | None, typer.Option(help='Sentence around prompts, as "the sound of {}"; several are averaged.')
]
WindowSeconds = Annotated[
    float | None, typer.Option("--window-s", help="Length of a CLAP's windows in seconds, by default its own.")
]
Workers = Annotated[
    int, typer.Option(min=1, help="Processes that share each batch: one for each GPU, else shares of the CPU cores.")
]
Address = Annotated[
    str | None, typer.Option(help="Running Ray cluster to train on: host:port, or auto. [default: this machine]")
]
