"""`lmac browse`: serve a run as a page to this machine alone, reading sound and pictures on request."""

from __future__ import annotations

from typing import Annotated

import typer

from jobs.messages import console, errors, for_people, has_screen
from pipeline.audit.report.browse import browse as serve
from schemas.report_config import BrowseConfig

_DEFAULTS = BrowseConfig()


def browse(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Output of `lmac explain`; path or s3:// URL.")],
    input_url: Annotated[
        str | None, typer.Option("--input", help="The run's input, to read original sound where the run lacks a side.")
    ] = None,
    windows: Annotated[int, typer.Option(min=1, max=200_000, help="Maximum number of windows to list.")] = (
        _DEFAULTS.windows
    ),
    port: Annotated[
        int,
        typer.Option(
            min=0, max=65_535, help="Port of 127.0.0.1; with the same one a browser finds its marks again; 0: any."
        ),
    ] = _DEFAULTS.port,
    open_page: Annotated[bool, typer.Option("--open/--no-open", help="Open the page if there is a screen.")] = True,
) -> None:
    """Serve the pages of `lmac report` to this machine alone, without writing them, until Ctrl-C."""
    with for_people("interrupted: stopped serving"):
        with console.status("opening") as status:
            served = serve(
                run,
                input_url=input_url,
                config=BrowseConfig(windows=windows, port=port),
                step=status.update,
                told=lambda line: errors.print(line, markup=False),
            )
        with served:
            shown = f"{served.shown:,} of {served.windows:,} windows, {served.heard:,} of them with sound"
            found = "no audit yet: see `lmac audit`" if served.findings is None else f"{served.findings:,} findings"
            console.print(f"{shown}; {found}; Ctrl-C stops it", markup=False)
            console.print(f"open {served.url}", markup=False)
            if open_page and has_screen():
                typer.launch(str(served.link()))
            served.wait()
