"""`python -m tests.faults --runs 50 --seed 0`: random faults, and whether anything is lost by them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from tests.faults.campaign import campaign, end_on_sigterm, temporary
from tests.faults.schedule import draw


def main(
    runs: Annotated[int, typer.Option(min=1, help="How many schedules, of seeds that follow each other.")] = 50,
    seed: Annotated[int, typer.Option(min=0, help="The first of them.")] = 0,
    only: Annotated[list[int] | None, typer.Option(help="These seeds instead.")] = None,
    keep: Annotated[Path | None, typer.Option(help="A folder, not there yet, to keep all that is written.")] = None,
    at_once: Annotated[int, typer.Option(min=1, help="How many beside each other, on a core each.")] = 2,
    plan: Annotated[bool, typer.Option("--plan", help="Print the schedules and run none.")] = False,
) -> None:
    """Explain 320 recordings under faults that are drawn from a seed, and hold each run against a calm one."""
    seeds = only or range(seed, seed + runs)
    if plan:
        for each in seeds:
            print(draw(each))
        return
    end_on_sigterm()
    if keep is not None:
        keep.mkdir(parents=True)
        sys.exit(bool(campaign(seeds, keep.absolute(), min(at_once, len(seeds)))))
    with temporary() as folder:
        unsound = campaign(seeds, Path(folder), min(at_once, len(seeds)))
    sys.exit(bool(unsound))


if __name__ == "__main__":
    typer.run(main)
