"""`lmac evaluate`: how faithful an explainer is, compared with what people use instead."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from jobs.device_option import Device
from jobs.input_options import FROM_OPTIONS, InputOptions, reads_input
from jobs.messages import fail, for_people, shown_command

_RESUME = "interrupted: what is measured stays, and the same command resumes from there"


@reads_input()
def evaluate(
    input_url: Annotated[str, typer.Argument(metavar="INPUT", help="Audio: anything that `lmac explain` takes.")],
    out: Annotated[Path, typer.Option(help="Folder for tables, plots and the report.")],
    explainer: Annotated[str | None, typer.Option(help="esc10, scenes, or a path or URL. [default: esc10]")] = None,
    methods: Annotated[
        str | None,
        typer.Option(help="Baselines by name, with spaces or underscores, comma-separated. [default: all that suit]"),
    ] = None,
    against: Annotated[
        list[str] | None, typer.Option(help="NAME=EXPLAINER: another decoder of the same classifier; repeatable.")
    ] = None,
    refine: Annotated[int | None, typer.Option(help="Also evaluate masks after this many gradient steps.")] = None,
    reading: InputOptions = FROM_OPTIONS,
    select: Annotated[list[str] | None, typer.Option(help="Only where COLUMN=VALUE,VALUE...; repeatable.")] = None,
    contaminate: Annotated[
        list[str] | None,
        typer.Option(help="mixture, white-noise:DB, FOLDER:DB or none; repeatable. [default: mixture, white-noise:10]"),
    ] = None,
    curves: Annotated[
        str | None,
        typer.Option(help="Audio with curves at equal size, comma-separated, or none. [default: clean,mixture]"),
    ] = None,
    sanity: Annotated[bool | None, typer.Option(help="Sanity checks of the masks. [default: sanity]")] = None,
    limit: Annotated[int | None, typer.Option(help="Number of recordings to draw from the input.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Windows explained at once. [default: 8]")] = None,
    precision: Annotated[
        Literal["fp32", "bf16"] | None, typer.Option(help="What masks are scored in; bf16 is faster. [default: fp32]")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of everything random. [default: 0]")] = None,
    config: Annotated[Path | None, typer.Option(help="YAML with settings; options override it.")] = None,
    device: Device = "auto",
) -> None:
    """Measure how faithful an explainer's masks are on INPUT, compared with the methods that people use instead.

    Run it again with the same settings to resume, or with other methods to measure only those.
    """
    # Imported on use: attribution, statistics and plots take as long to import as the rest of a command's start.
    from jobs.evaluation_console import ConsoleProgress, print_result
    from pipeline.evaluation.evaluate import evaluate as library_evaluate
    from pipeline.lmac.arguments import choose_device
    from pipeline.lmac.memory import keep_freed_memory

    with for_people(_RESUME), ConsoleProgress() as progress:
        keep_freed_memory(choose_device(device))
        result = library_evaluate(
            input_url,
            explainer,
            out=out,
            config=config,
            device=device,
            progress=progress,
            command=shown_command(sys.argv[1:]),
            methods=_words(methods),
            against=_against(against),
            refine=refine,
            **reading,
            select=select or None,
            contaminate=contaminate or None,
            curves=_words(curves),
            limit=limit,
            batch_size=batch_size,
            precision=precision,
            seed=seed,
            **{"sanity.enabled": sanity},
        )
    print_result(result)


def _words(text: str | None) -> list[str] | None:
    return [word.strip() for word in text.split(",") if word.strip()] if text is not None else None


def _against(texts: list[str] | None) -> dict[str, str] | None:
    if not texts:
        return None
    found: dict[str, str] = {}
    for text in texts:
        name, sign, url = text.partition("=")
        if not sign or not name or not url:
            raise fail(f"--against {text!r}: write NAME=EXPLAINER")
        if name in found:
            raise fail(f"--against {name}=... is given twice: each needs a name of its own")
        found[name] = url
    return found
