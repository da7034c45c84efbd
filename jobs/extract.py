"""`lmac extract`: FLAC files from a run, to listen to."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from jobs.messages import console, for_people
from pipeline.runs.extract import KINDS, TABLE
from pipeline.runs.extract import extract as extract_files
from pipeline.storage.errors import storage_errors


def extract(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Output of `lmac explain`; path or s3:// URL.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="New or empty folder for the FLAC files.")],
    where: Annotated[
        str | None,
        typer.Option(
            help="Condition in SQL over predictions, faithfulness and profiles: \"target = 'rain' AND ff > 0.9\"."
        ),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="At most this many explanations, of those that have a sound of --kind.")
    ] = None,
    kind: Annotated[
        list[str] | None, typer.Option(help=f"{', '.join(KINDS)}; may be given several times. [default: masked_in]")
    ] = None,
    input_url: Annotated[
        str | None, typer.Option("--input", help="The run's input, to read originals if the run lacks a side.")
    ] = None,
    labels: Annotated[
        str | None, typer.Option(help="The run's table of labels, needed with --input if it defines segments.")
    ] = None,
) -> None:
    """Write listenables of a run as FLAC files with readable names, and a table of them."""
    with for_people(), storage_errors(f"writing to {out}"):
        kinds = kind or ["masked_in"]
        made = extract_files(run, out, where=where, limit=limit, kinds=kinds, input_url=input_url, labels=labels)
    lacking = "".join(f", {count} of them without {name}" for name, count in made.lacking.items() if count)
    console.print(f"{len(made.files)} FLAC files and {TABLE} in {out}", markup=False)
    console.print(f"explanations that fit: {made.fitting}{lacking}", markup=False)
