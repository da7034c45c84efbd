"""`lmac clean`: remove what interrupted runs left in an output."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated

import typer

from jobs.messages import console, counted, fail, for_people
from pipeline.inputs.shards import printable
from pipeline.runs.lease import refuse_living
from pipeline.runs.leftovers import find_leftovers
from pipeline.runs.output import RunOutput

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_LONGEST = timedelta(days=36500)
_SHOWN = 20


def clean(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Output of `lmac explain`; path or s3:// URL.")],
    older_than: Annotated[
        str, typer.Option(help="Keep younger files; while a run goes on, choose more than a part takes.")
    ] = "24h",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List what would be removed; remove nothing.")] = False,
) -> None:
    """Remove files that interrupted runs left in RUN: those that no record of RUN names."""
    age = _duration(older_than)
    with for_people():
        output = RunOutput(run)
        found = find_leftovers(output, age)
        for file in found.files[:_SHOWN]:
            console.print(f"{printable(file.path)} ({file.bytes} bytes)", markup=False)
        if len(found.files) > _SHOWN:
            console.print(f"and {len(found.files) - _SHOWN} more")
        if not dry_run:
            refuse_living(output)
            output.delete(found.files)
    size = sum(file.bytes for file in found.files)
    what = f"{counted(len(found.files), 'file')} of {size / 1e6:.1f} MB"
    console.print(f"{what} would be removed" if dry_run else f"{what} removed")
    if found.young:
        console.print(f"left for now: {len(found.young)} not known to be older than {older_than}", markup=False)


def _duration(text: str) -> timedelta:
    """A length of time as people write it: 30m, 24h, 7d."""
    match = re.fullmatch(r"([0-9]{1,9})([smhd])", text.strip())
    age = timedelta(**{_UNITS[match[2]]: int(match[1])}) if match else None
    if age is None or age > _LONGEST:
        raise fail(f"--older-than {text!r}: write a whole number followed by s, m, h or d, as in 30m, 24h or 7d")
    return age
