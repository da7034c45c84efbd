"""`lmac verify`: read a run again and report what is wrong with it."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.progress import Progress

from jobs.device_option import Device
from jobs.messages import FAILED, console, counted, fail, for_people
from pipeline.runs.verify.census.check import InputCount
from pipeline.runs.verify.findings import SHOWN
from pipeline.runs.verify.verify import Verification
from pipeline.runs.verify.verify import verify as verify_run
from pipeline.storage.filesystem import display_url


def verify(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Output of `lmac explain`; path or s3:// URL.")],
    input_url: Annotated[
        str | None,
        typer.Option("--input", help="The run's input, to decode in full, count and compare."),
    ] = None,
    deep: Annotated[int | None, typer.Option(min=1, help="Explain this many windows again, from --input.")] = None,
    explainer: Annotated[
        str | None, typer.Option(help="For --deep: the explainer of the run. [default: the one saved with it]")
    ] = None,
    labels: Annotated[
        str | None,
        typer.Option(help="For --input: the run's table of labels, to compare; needed if it names segments."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed for the windows that --deep draws.")] = 0,
    device: Device = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="As JSON, for programs.")] = False,
) -> None:
    """Read a run again, or what it has committed so far, and list all that is wrong; exit with 1 if anything is."""
    if deep and input_url is None:
        raise fail("--deep explains windows again from the input: give --input")
    if explainer and not deep:
        raise fail("--explainer is for --deep, which is not given")
    with for_people(), Progress(console=console, transient=True, disable=as_json or not console.is_terminal) as bar:
        task = bar.add_task("reading records", total=None)
        found = verify_run(
            run,
            input_url,
            deep or 0,
            explainer,
            seed,
            step=lambda what, done, of: bar.update(task, description=what, completed=done, total=of),
            labels=labels,
            device=device,
        )
    if as_json:
        typer.echo(json.dumps(_as_json(found), indent=2))
    else:
        _print(run, found)
    if found.findings:
        raise typer.Exit(FAILED)


def _as_json(found: Verification) -> dict[str, Any]:
    checked = {name: value for name, value in vars(found).items() if name not in ("findings", "input")}
    checked |= {"input": asdict(found.input)} if found.input is not None else {}
    findings = {
        kind: {"count": count, "first": [asdict(finding) for finding in found.findings.shown[kind]]}
        for kind, count in found.findings.counts.items()
    }
    return {"sound": not found.findings, "checked": checked, "findings": findings}


def _print(run: str, found: Verification) -> None:
    for kind, count in found.findings.counts.items():
        console.print(f"{kind}: {count}", style="bold red", markup=False)
        for finding in found.findings.shown[kind]:
            where = f"{finding.file}, {finding.key}" if finding.key else finding.file
            console.print(f"  {where}: {finding.message}", markup=False)
        if count > SHOWN:
            console.print(f"  and {count - SHOWN} more")
    if not found.finished:
        console.print(f"the run is not finished: {found.ended} of {found.shards} shards are complete")
    made = (("window", found.windows), ("mask", found.masks), ("listenable", found.listenables))
    console.print(
        f"checked {counted(found.parts, 'part')} in {counted(found.files, 'file')} of {found.bytes / 1e6:.1f} MB: "
        f"{counted(found.recordings, 'recording')}, {found.errors} of them not used in full; "
        + ", ".join(counted(count, what) for what, count in made)
    )
    if found.input is not None:
        console.print(_counts(found.input))
    if found.reexplained:
        again = f"{counted(found.reexplained, 'window')} {'was' if found.reexplained == 1 else 'were'}"
        console.print(f"{again} explained again and compared")
    shown = display_url(run)
    console.print(f"{shown}: {len(found.findings) or 'nothing'} found to be wrong", markup=False)


def _counts(found: InputCount) -> str:
    """Say what became of the recordings of the input."""
    drawn = f", {found.not_drawn} not drawn" if found.not_drawn else ""
    unmeasured = f", {found.unmeasured} whose length FFmpeg does not tell" if found.unmeasured else ""
    return (
        f"{counted(found.recordings, 'recording')} in the input, {found.in_full} heard in full, "
        f"{found.in_part} in part, {found.in_errors} in errors{unmeasured}{drawn}, "
        f"{counted(found.others, 'file')} of other kinds"
    )
