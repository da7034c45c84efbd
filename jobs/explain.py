"""`lmac explain`: a dataset in, tables of decisions, masks, scores and listenables out."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Annotated, Literal

import typer

from jobs.input_options import FROM_OPTIONS, InputOptions, reads_input
from jobs.messages import FAILED, STRICT, console, counted, for_people, interrupted
from jobs.run_progress import RunProgress
from jobs.training_options import Prompts, Template
from pipeline.flow.run import run
from pipeline.inputs.shards import NOT_DRAWN
from pipeline.runs.summary import summarise
from schemas.records import Manifest
from schemas.run_config import RunConfig
from schemas.yaml_config import load_config

RESUME = "interrupted: what is committed stays, and the same command resumes from there"


@reads_input()
def explain(
    input_url: Annotated[
        str,
        typer.Argument(metavar="INPUT", help="Folder, tar, Parquet or CSV/JSONL manifest; path or s3:// URL."),
    ],
    output_url: Annotated[str, typer.Argument(metavar="OUTPUT", help="Where the tables go; path or s3:// URL.")],
    explainer: Annotated[
        str | None, typer.Option(help="esc10, scenes, clap-mini, or a path or URL. [default: esc10]")
    ] = None,
    prompts: Prompts = None,
    template: Template = None,
    classifier: Annotated[
        str | None, typer.Option(help="clap:WHERE, for --prompts, when the explainer comes without its CLAP.")
    ] = None,
    config: Annotated[Path | None, typer.Option(help="YAML with settings; options given here override it.")] = None,
    targets: Annotated[
        str | None, typer.Option(help="Which classes get a mask: top1, topk:3, all, or 'rain; wind'. [default: top1]")
    ] = None,
    reading: InputOptions = FROM_OPTIONS,
    sample: Annotated[
        str | None, typer.Option(help="A pilot: a share of the recordings (0.01) or a number of them (5000).")
    ] = None,
    mask: Annotated[
        Literal["soft", "binary"] | None, typer.Option(help="Mask as it is, or thresholded at 0.5. [default: soft]")
    ] = None,
    precision: Annotated[
        Literal["fp32", "bf16"] | None,
        typer.Option(help="bf16 is faster on GPUs, and on CPUs that support it. [default: fp32]"),
    ] = None,
    refine: Annotated[int | None, typer.Option(help="Gradient steps on each mask: better but far slower.")] = None,
    listenables: Annotated[
        Literal["masked_in", "masked_out", "both", "none"] | None,
        typer.Option(help="Which sides to write as FLAC. [default: masked_in]"),
    ] = None,
    listen: Annotated[
        str | None,
        typer.Option(help="Which windows get listenables: all, none, share:0.05, per-target:20. [default: all]"),
    ] = None,
    masks: Annotated[
        str | None, typer.Option(help="Which windows have their masks stored: all, none, share:0.05. [default: all]")
    ] = None,
    audio_scores: Annotated[
        str | None,
        typer.Option(help="Which windows' written audio is classified again: all, none, share:0.05. [default: all]"),
    ] = None,
    window_hop: Annotated[float | None, typer.Option(help="Seconds between windows of a long recording.")] = None,
    min_tail: Annotated[
        float | None, typer.Option(help="Shortest end of a recording that gets a window, as a share of a window.")
    ] = None,
    max_clip_seconds: Annotated[
        float | None, typer.Option(help="A longer recording is an error. [default: no limit]")
    ] = None,
    damaged: Annotated[
        Literal["use", "refuse"] | None,
        typer.Option(help="Explain what can be heard of damaged recordings, or refuse them. [default: use]"),
    ] = None,
    channel: Annotated[
        str | None,
        typer.Option(
            metavar="mix|N|each", help="The mean of all channels, one of them, or each as a recording. [default: mix]"
        ),
    ] = None,
    part_windows: Annotated[int | None, typer.Option(help="Windows in a part, which is committed as one.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Windows explained at once.")] = None,
    address: Annotated[str | None, typer.Option(help="Ray cluster to join, e.g. auto; else a local Ray.")] = None,
    actors: Annotated[int | None, typer.Option(help="How many actors; else one per GPU, or as many as fit.")] = None,
    device: Annotated[
        Literal["auto", "cpu", "cuda"] | None, typer.Option(help="Where actors compute. [default: auto]")
    ] = None,
    cpus_per_actor: Annotated[int | None, typer.Option(help="CPU cores of each actor.")] = None,
    streams_per_actor: Annotated[
        int | None, typer.Option(help="Shards decoded at once for each actor. [default: 1; beside a GPU up to 8]")
    ] = None,
    compiled: Annotated[
        bool | None,
        typer.Option("--compile", help="Compile the networks first, which takes minutes: for long runs on GPUs."),
    ] = None,
    trace: Annotated[
        str | None, typer.Option(metavar="FILE", help="Write where the time went, for ui.perfetto.dev.")
    ] = None,
    take_over: Annotated[
        bool, typer.Option("--take-over", help="Take OUTPUT over from a run that is writing it.")
    ] = False,
    strict: Annotated[
        bool, typer.Option(help="Exit with 3 if any recording could not be used, or not in full.")
    ] = False,
) -> None:
    """Explain every recording of INPUT: what the classifier decided, on which part of the sound, and how surely.

    Run it again with the same settings to resume an interrupted run.
    """
    with for_people(RESUME):
        settings = load_config(
            RunConfig,
            config,
            {
                "content.explainer": explainer,
                "content.targets": targets,
                **{f"content.{name}": value for name, value in reading.items()},
                "content.sample": sample,
                "content.prompts": prompts,
                "content.templates": template or None,
                "content.classifier": classifier,
                "content.mask": mask,
                "content.precision": precision,
                "content.refine": refine,
                "content.listen": listen,
                "content.masks": masks,
                "content.audio_scores": audio_scores,
                "content.listenables": listenables,
                "content.window_hop_s": window_hop,
                "content.min_tail": min_tail,
                "content.max_clip_seconds": max_clip_seconds,
                "content.damaged": damaged,
                "content.channel": channel,
                "content.part_windows": part_windows,
                "cluster.batch_size": batch_size,
                "cluster.address": address,
                "cluster.actors": actors,
                "cluster.device": device,
                "cluster.cpus_per_actor": cpus_per_actor,
                "cluster.streams_per_actor": streams_per_actor,
                "cluster.compile": compiled,
                "cluster.trace": trace,
            },
        )
        manifest = run_and_print(input_url, output_url, settings, take_over)
    if manifest.quarantined:
        raise typer.Exit(FAILED)
    if strict and manifest.errors:
        raise typer.Exit(STRICT)


def run_and_print(input_url: str, output_url: str, settings: RunConfig, take_over: bool = False) -> Manifest:
    """Run with a progress bar and print the summary; the command ends with 130 if the run was stopped."""
    progress = RunProgress()
    manifest = None
    with progress.bar, suppress(KeyboardInterrupt):
        manifest = run(input_url, output_url, settings, progress, take_over).manifest
    if manifest is None:
        progress.stopped()
        raise interrupted(RESUME)
    print_summary(output_url, manifest)
    return manifest


def print_summary(output_url: str, manifest: Manifest) -> None:
    """Print what a finished run holds."""
    summary = summarise(manifest)
    if summary.total is not None:
        console.print(str(summary), markup=False)
    if summary.accuracy is not None:
        known = f"{counted(summary.labelled, 'window')} with a known label"
        console.print(f"{summary.accuracy:.1%} of {known} are classified as labelled")
    unheard = manifest.errors - manifest.partly
    partly = f", {manifest.partly} of them in part" if manifest.partly else ""
    explained = counted(manifest.recordings - unheard, "recording")
    console.print(
        f"{explained} explained in {counted(manifest.windows, 'window')}{partly}; "
        f"{counted(unheard, 'recording')} could not be used"
    )
    for reason, count in summary.errors.items():
        console.print(f"  {reason}: {count} (see {output_url}/errors)", markup=False)
    left_out = manifest.sums.left_out
    if not_drawn := left_out.get(NOT_DRAWN):
        console.print(f"{counted(not_drawn, 'recording')} {'was' if not_drawn == 1 else 'were'} not drawn")
    kinds = [f"{count} {kind}" for kind, count in left_out.items() if kind != NOT_DRAWN]
    if kinds:
        console.print(f"left out, as they hold no recording: {', '.join(kinds)}", markup=False)
    for shard in manifest.quarantined:
        console.print(
            f"given up: {shard.uri} after {shard.attempts} attempts in {shard.seconds:.0f} s: {shard.reason}",
            markup=False,
        )
    if manifest.quarantined:
        console.print("the run is incomplete; the same command tries again what was given up")
    console.print(f"written to {output_url}", markup=False)
