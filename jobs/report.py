"""`lmac report`: write a run and its findings, with sound, as a page that opens from disk."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.progress import Progress, SpinnerColumn, TextColumn

from jobs.messages import console, for_people
from pipeline.audit.report.write import report as write_report
from pipeline.storage.filesystem import display_url
from schemas.report_config import ReportConfig

_DEFAULTS = ReportConfig()


def report(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Output of `lmac explain`; path or s3:// URL.")],
    out: Annotated[
        str | None, typer.Option(help="Folder for the report, new or with an earlier one. [default: RUN/report]")
    ] = None,
    input_url: Annotated[
        str | None, typer.Option("--input", help="The run's input, to read original sound where the run lacks a side.")
    ] = None,
    windows: Annotated[int, typer.Option(min=1, max=200_000, help="Maximum number of windows to show.")] = (
        _DEFAULTS.windows
    ),
    pictured: Annotated[int, typer.Option(min=0, help="Maximum number of them with sound and pictures.")] = (
        _DEFAULTS.pictured
    ),
    sound_mb: Annotated[float, typer.Option(min=0, help="Maximum megabytes of sound.")] = _DEFAULTS.sound_mb,
) -> None:
    """Write a run and the findings of its audit as pages that open from disk and need no network."""
    config = ReportConfig(windows=windows, pictured=pictured, sound_mb=sound_mb)
    bar = Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    with for_people(), bar:
        task = bar.add_task("opening", total=None)
        made = write_report(
            run, out, input_url=input_url, config=config, step=lambda what: bar.update(task, description=what)
        )
    shown = f"{made.shown:,} of {made.windows:,} windows, {made.heard:,} of them with sound"
    if made.heard < made.shown:
        shown += " (more with --sound-mb, --pictured or --input)"
    found = "no audit yet: see `lmac audit`" if made.findings is None else f"{made.findings:,} findings"
    console.print(f"{shown}; {found}; {made.files:,} files of {made.bytes / 1e6:.1f} MB", markup=False)
    console.print(f"open {display_url(made.page)}", markup=False)
