"""`lmac layers`: what each layer of a classifier represents, and how similar layers are."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import Progress
from rich.table import Table

from jobs.device_option import Device
from jobs.input_options import FROM_OPTIONS, InputOptions, reads_input
from jobs.messages import console, errors, for_people
from pipeline.inputs.load_windows import load_windows
from pipeline.inputs.selection import parse_selection
from pipeline.lmac.arguments import choose_device
from pipeline.models.checkpoint import load_explainer
from pipeline.runs.output import RunOutput
from pipeline.storage.filesystem import display_url
from schemas.layers_config import LayersConfig
from schemas.yaml_config import load_config

if TYPE_CHECKING:
    from pipeline.layers.study import LayerStudy


@reads_input("label_column")
def layers(
    input_url: Annotated[str, typer.Argument(metavar="INPUT", help="Audio: anything that `lmac explain` takes.")],
    explainer: Annotated[str, typer.Option(help="The classifier: an explainer's name, path or URL.")],
    out: Annotated[str, typer.Option(help="Folder (path or URL) for the tables and the plot.")],
    label_column: Annotated[str | None, typer.Option(help="The labels to probe for: any column or metadata.")] = None,
    reading: InputOptions = FROM_OPTIONS,
    select: Annotated[list[str] | None, typer.Option(help="Only where COLUMN=VALUE,VALUE...; repeatable.")] = None,
    folds: Annotated[int | None, typer.Option(help="Folds of the cross-validation. [default: 5]")] = None,
    group: Annotated[
        str | None, typer.Option(help="Column whose values are never split between training and test folds.")
    ] = None,
    limit: Annotated[int | None, typer.Option(help="Maximum number of recordings, drawn by the seed.")] = None,
    width: Annotated[
        int | None, typer.Option(help="Maximum features of a layer; more are projected. [default: 2048]")
    ] = None,
    batch_size: Annotated[int | None, typer.Option(help="Windows per batch. [default: 16]")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of folds, projection and drawing. [default: 0]")] = None,
    device: Device = "auto",
) -> None:
    """Probe every layer of a classifier linearly for labels of any kind, and compare layers by CKA.

    Use recordings that the classifier was not trained on: its deep layers have seen the labels of the training set.
    """
    # Imported on use: scikit-learn takes as long to import as the rest of a command's start.
    from pipeline.layers.study import choose_subjects, layers_table, parquet, similarity_table, study_layers
    from pipeline.layers.study_page import markdown, plot

    with for_people():
        options = {
            **reading,
            "label_column": label_column,
            "select": tuple(select) if select else None,
            "folds": folds,
            "group": group,
            "limit": limit,
            "width": width,
            "batch_size": batch_size,
            "seed": seed,
        }
        config = load_config(LayersConfig, None, options)
        chosen = choose_device(device)
        loaded = load_explainer(explainer)
        with tempfile.TemporaryDirectory(prefix="lmac-layers-") as scratch:
            windows = load_windows(
                input_url,
                loaded.config.front_end,
                Path(scratch),
                reading=config.reading(),
                selections=[parse_selection(config.select)] if config.select else [],
                on_skip=lambda key, reason: errors.print(f"left out: {key}: {reason}", markup=False),
            )
            subjects = choose_subjects(windows, config)
            for line in subjects.left_out:
                errors.print(line, markup=False)
            with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
                bar = progress.add_task("pooling", total=len(subjects.windows))
                study = study_layers(
                    loaded.classifier.to(chosen),
                    subjects,
                    config,
                    step=lambda count: progress.advance(bar, count),
                    on_probe=lambda layer: progress.update(bar, description=f"probing {layer}"),
                )
        output, about = RunOutput(out), (loaded.config.name, loaded.digest, config)
        output.write_bytes("layers.parquet", parquet(layers_table(study), *about))
        output.write_bytes("cka.parquet", parquet(similarity_table(study), *about))
        output.write_bytes("layers.png", plot(study))
        output.write_bytes("layers.md", markdown(study, *about).encode())
    _show(study)
    console.print(f"written to {display_url(out)}", markup=False)


def _show(study: LayerStudy) -> None:
    task = study.subjects.task
    console.print(
        f"{len(task.labels)} recordings of {len(set(task.labels.tolist()))} labels in {len(task.folds)}"
        f" folds; chance {task.chance:.3f}"
    )
    shown = Table(box=None)
    for column in ("layer", "accuracy", "95%", "CKA with log-mel"):
        shown.add_column(column, justify="left" if column == "layer" else "right")
    for layer, score, similarity in zip(study.layers, study.probes, study.cka[:, 0], strict=True):
        interval = f"{score.low:.3f} to {score.high:.3f}"
        shown.add_row(layer.name, f"{score.accuracy:.3f}", interval, f"{similarity:.2f}")
    console.print(shown)
