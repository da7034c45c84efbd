"""`lmac demo`: the whole workflow on synthetic sounds, in a few minutes."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Annotated

import typer

from jobs.audit import print_findings
from jobs.explain import RESUME, run_and_print
from jobs.messages import console, for_people, has_screen
from pipeline.audit.audit import audit
from pipeline.audit.examples import Example, panels_of, pick_examples, pick_windows
from pipeline.audit.report.write import report
from pipeline.datasets.clap_mini.write import write_mixtures
from pipeline.datasets.scenes import write_faulty_scenes
from pipeline.lmac.picture import draw
from pipeline.runs.extract import TABLE, extract
from pipeline.runs.run import Run, open_run
from pipeline.storage.errors import storage_errors
from pipeline.storage.file_names import safe_name
from schemas.run_config import ContentConfig, RunConfig

# A seed, and numbers of sounds, that no shipped explainer was trained on.
SEED, SCENES, SHARD = 77, 150, 51
PICTURES = 4
MIXTURES, WINDOWS = 24, 3
# In wordings that neither the CLAP nor its decoder was trained on.
PROMPTS = (
    "the bark of a dog; wailing police sirens; birds chirping; clocks ticking; knocking on wood; a running engine; "
    "the beeping of an alarm; raindrops on a roof; the wind howling; church bells ringing"
)


def demo(
    out: Annotated[Path, typer.Option(help="Folder for the sounds and all results.")] = Path("demo-output"),
    zero_shot: Annotated[
        bool, typer.Option("--zero-shot", help="Mixtures of two sounds, explained for prompts by a shipped CLAP.")
    ] = False,
) -> None:
    """Make 150 scenes, some of them faulty, explain and audit them, and show what to look at and to listen to."""
    with for_people(RESUME), storage_errors(f"writing to {out}"):
        if zero_shot:
            _of_prompts(out)
        else:
            _of_scenes(out)


def _of_scenes(out: Path) -> None:
    scenes, output = str(out / "scenes"), str(out / "explained")
    console.print(f"making {SCENES} scenes of known sounds over noise in {scenes}", markup=False)
    faults = write_faulty_scenes(Path(scenes), SCENES, SEED, scenes_per_shard=SHARD)
    console.print(f"among them {faults}", markup=False)
    console.print(f"lmac explain {scenes} {output} --explainer scenes --listenables both", markup=False)
    content = ContentConfig(explainer="scenes", listenables=("masked_in", "masked_out"))
    run_and_print(scenes, output, RunConfig(content=content))
    done = open_run(output)
    examples = pick_examples(done, 6)
    _draw(scenes, done, examples[:PICTURES], out / "pictures")
    _listen(done, examples, out / "listen", ("original", "masked_in", "masked_out"))
    console.print(f"lmac audit {output} --trained-on no; lmac report {output} --out {out / 'report'}", markup=False)
    found = audit(output, trained_on="no")
    print_findings(output, found, reviewed=False)
    page = report(output, out / "report").page
    console.print(f"the report: {page}", markup=False)
    if has_screen():
        typer.launch(page)


def _of_prompts(out: Path) -> None:
    mixtures, output = out / "mixtures", str(out / "explained-prompts")
    console.print(f"making {MIXTURES} mixtures of two sounds over noise in {mixtures}", markup=False)
    write_mixtures(mixtures, MIXTURES, SEED)
    console.print(
        f'lmac explain {mixtures} {output} --explainer clap-mini --targets topk:2 --prompts "{PROMPTS}"', markup=False
    )
    content = ContentConfig(explainer="clap-mini", prompts=PROMPTS, targets="topk:2")
    run_and_print(str(mixtures), output, RunConfig(content=content))
    done = open_run(output)
    examples = pick_windows(done, WINDOWS)
    _draw(str(mixtures), done, examples, out / "pictures-prompts")
    _listen(done, examples, out / "listen-prompts", ("masked_in",))


def _draw(source: str, done: Run, examples: list[Example], folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    for example, panels in zip(examples, panels_of(source, done, examples), strict=True):
        # A scene has one target, a mixture has two and so two pictures.
        several = sum(other.window_id == example.window_id for other in examples) > 1
        names = [PurePosixPath(example.key).stem, example.target] if several else [example.target]
        path = folder / f"{'-'.join(map(safe_name, names))}.png"
        path.write_bytes(draw(panels))
        console.print(f"picture: {path}", markup=False)


def _clear(folder: Path) -> None:
    """Delete what an earlier demo has extracted: the files that its table names, and the table."""
    if (folder / TABLE).is_file():
        with (folder / TABLE).open(newline="", encoding="utf-8") as table:
            for row in csv.DictReader(table):
                (folder / PurePosixPath(row["file"]).name).unlink(missing_ok=True)
        (folder / TABLE).unlink()


def _listen(done: Run, examples: list[Example], folder: Path, kinds: Sequence[str]) -> None:
    """Extract the examples' sounds, and print the scores of each with its file."""
    names = ", ".join(f"'{window_id}'" for window_id in dict.fromkeys(example.window_id for example in examples))
    _clear(folder)
    files = extract(done, folder, where=f"window_id IN ({names})", kinds=kinds).files
    console.print(f"to listen to: {len(files)} FLAC files in {folder}; the part that made the decision alone:")
    kept = {(one.row["window_id"], one.row["target"]): one.path for one in files if one.kind == "masked_in"}
    for one in examples:
        console.print(
            f"  {one.target}: p {one.p:.2f}, of the part alone {one.p_in_audio:.2f}, "
            f"of the rest {one.p_out_audio:.2f}; mask mean {one.mask_mean:.2f}",
            markup=False,
        )
        console.print(f"    {kept[one.window_id, one.target]}", markup=False)
