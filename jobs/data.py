"""`lmac data`: datasets to try things on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.progress import Progress

from jobs.messages import console, errors, for_people
from pipeline.datasets.esc10 import download_esc10, unpack_esc10
from pipeline.datasets.scenes import DatasetFormat, SceneConfig, write_scenes
from pipeline.storage.errors import storage_errors
from pipeline.storage.filesystem import display_url

data_app = typer.Typer(help="Make or fetch a dataset to try things on.", no_args_is_help=True)

_DEFAULTS = SceneConfig()


@data_app.command()
def scenes(
    directory: Annotated[str, typer.Argument(metavar="OUTPUT", help="Where to write: a folder or any fsspec URL.")],
    count: Annotated[int, typer.Option(help="How many scenes.")] = 200,
    seed: Annotated[int, typer.Option(help="The same seed makes the same scenes.")] = 0,
    format: Annotated[
        DatasetFormat,
        typer.Option(
            help="WebDataset shards, Parquet with an audio column, or loose FLAC files.",
        ),
    ] = "tar",
    duration: Annotated[float, typer.Option(help="Length of a scene in seconds.")] = _DEFAULTS.duration_s,
    snr_min: Annotated[
        float, typer.Option(help="Lowest power of the event over the background, dB.")
    ] = _DEFAULTS.snr_db[0],
    snr_max: Annotated[
        float, typer.Option(help="Highest power of the event over the background, dB.")
    ] = _DEFAULTS.snr_db[1],
    shard_size: Annotated[int, typer.Option(help="Scenes per shard, for tar and parquet.")] = 64,
) -> None:
    """Make scenes: one event of ten kinds over a background, with both sources known."""
    with for_people(), errors.status(f"rendering {count} scenes"):
        config = SceneConfig(duration_s=duration, snr_db=(snr_min, snr_max))
        written = write_scenes(directory, count, seed, format=format, config=config, scenes_per_shard=shard_size)
    per_label = ", ".join(f"{label} {number}" for label, number in written.labels.items())
    console.print(
        f"{written.count} scenes of {duration:g} s in {len(written.files)} file(s), "
        f"{written.size_bytes / 1e6:.1f} MB: {display_url(directory)}\n{per_label}",
        markup=False,
    )


@data_app.command()
def esc10(
    directory: Annotated[Path, typer.Argument(metavar="OUTPUT", help="Where to put the 400 recordings.")],
    source: Annotated[
        Path | None,
        typer.Option("--from", metavar="PATH", help="A zip of ESC-50, or a folder it was unpacked to; no network."),
    ] = None,
) -> None:
    """Fetch ESC-10: 400 field recordings of ten kinds of sound, about 180 MB."""
    with for_people(), storage_errors(f"writing to {directory}"), Progress(console=errors) as progress:
        task = progress.add_task("ESC-10", total=None)

        def show(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total)

        if source:
            summary = unpack_esc10(source, directory, on_recording=show)
        else:
            summary = download_esc10(directory, on_recording=show)
    console.print(f"{summary.recordings} recordings, {summary.kept} of them already there: {directory}", markup=False)
    console.print(f"Each recording has its own licence and author: see {directory / 'LICENSE'}", markup=False)
