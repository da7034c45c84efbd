"""`lmac demo`: the whole of it on scenes made here, in a few minutes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from jobs.explain import RESUME, print_summary
from jobs.messages import console, for_people
from jobs.run_progress import RunProgress
from pipeline.audit.examples import Example, panels_of, pick_examples
from pipeline.audit.picture import draw
from pipeline.audit.summary import summarise
from pipeline.flow.run import run
from pipeline.scenes import write_scenes
from schemas.run_config import ContentConfig, RunConfig

# Seed and numbers that no shipped explainer was trained on.
SEED, SCENES, SHARD = 77, 60, 20
PICTURES = 4


def demo(
    out: Annotated[Path, typer.Option(help="Folder for the scenes and for what is made of them.")] = Path(
        "demo-output"
    ),
) -> None:
    """Make 60 scenes, explain them, and show what to look at and what to listen to."""
    scenes, explained = str(out / "scenes"), str(out / "explained")
    with for_people(RESUME):
        console.print(f"making {SCENES} scenes of known sounds over noise in {scenes}", markup=False)
        write_scenes(scenes, SCENES, SEED, format="tar", scenes_per_shard=SHARD)
        console.print(f"lmac explain {scenes} {explained} --explainer scenes --listenables both", markup=False)
        content = ContentConfig(explainer="scenes", listenables=("masked_in", "masked_out"))
        progress = RunProgress()
        with progress.bar:
            result = run(scenes, explained, RunConfig(content=content), progress)
        print_summary(explained, result, summarise(explained))
        examples = pick_examples(explained, 6)
        print_examples(explained, examples)
        pictures = out / "pictures"
        pictures.mkdir(exist_ok=True)
        for example, panels in zip(examples[:PICTURES], panels_of(scenes, explained, examples[:PICTURES]), strict=True):
            path = pictures / f"{_plain(example.label)}.png"
            path.write_bytes(draw(panels))
            console.print(f"picture: {path}", markup=False)


def print_examples(output_url: str, examples: list[Example]) -> None:
    """Windows with the clips to listen to, two lines each, so that a path can be copied."""
    console.print("to listen to: the part that made the decision")
    for one in examples:
        console.print(
            f"  {one.label}: p {one.p:.2f}, of the part alone {one.p_in_audio:.2f}, "
            f"of the rest {one.p_out_audio:.2f}; mask mean {one.mask_mean:.2f}",
            markup=False,
        )
        console.print(f"    {output_url}/{one.uri}", markup=False)


def _plain(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9-]+", "-", name).strip("-") or "clip"
