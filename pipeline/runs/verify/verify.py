"""A run read again from storage, whole: what `lmac verify` does."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np

from pipeline.inputs.listing import list_input
from pipeline.runs.output import RunOutput
from pipeline.runs.verify.against_input import check_input
from pipeline.runs.verify.files import fetch
from pipeline.runs.verify.findings import Findings
from pipeline.runs.verify.part import PartProof, prove_part, read_rows
from pipeline.runs.verify.promise import Promise
from pipeline.runs.verify.recordings import NO_RECORDINGS, check_recordings
from pipeline.runs.verify.records import Outline, read_outline
from pipeline.runs.verify.reexplain import draw, explain_again, load_recorded

# Each holds the files of a part, one at a time.
_THREADS = 8

Step = Callable[[str, int, int], object]


@dataclass(frozen=True)
class Proof:
    """What was checked of a run, and what was found; `again` is the number of windows explained once more."""

    finished: bool
    shards: int
    ended: int
    parts: int
    recordings: int
    windows: int
    errors: int
    masks: int
    listenables: int
    files: int
    bytes: int
    again: int = 0
    findings: Findings = field(default_factory=Findings)


def verify(
    output_url: str,
    input_url: str | None = None,
    deep: int = 0,
    explainer_url: str | None = None,
    seed: int = 0,
    step: Step = lambda what, done, of: None,
) -> Proof:
    """Read all that a run has written, and check it: bytes, rows, ranges, and that all of it belongs together.

    With `input_url` the recordings are held against the input's; `deep` windows, drawn by `seed`, are explained again from
    it. `step` is told what is being done, and how much of it.
    Raises StorageError when there is no run or the storage stays away, InputError for the input, and ExplainerError for
    an explainer that is not the run's.
    """
    if deep and input_url is None:
        raise ValueError("windows are explained again from the input, which is not given")
    output, findings = RunOutput(output_url), Findings()
    outline = read_outline(output, findings)
    promise = Promise.of(outline.record)
    explainer = load_recorded(output, outline, explainer_url) if deep else None
    config = outline.record.config
    listing = list_input(input_url, files_per_shard=config["files_per_shard"]) if input_url else None
    # After the commits: what a commit names was written before it.
    there = {file.path for file in output.content_files()}
    _check_strays(outline, there, findings)
    proofs = _prove_parts(output, outline, there, promise, findings, step)

    places = sorted({commit.shard_id for commit in outline.commits.values()})
    numbers = {shard_id: number for number, shard_id in enumerate(places)}
    broken = {numbers[shard_id] for shard_id in outline.broken}
    for proof, commit in zip(proofs, outline.commits.values(), strict=True):
        proof.recordings["shard"], proof.recordings["part"] = numbers[commit.shard_id], commit.part
        if not proof.whole:
            broken.add(numbers[commit.shard_id])
    recordings = check_recordings(
        np.concatenate([NO_RECORDINGS, *(proof.recordings for proof in proofs)]), places, broken, findings
    )
    _check_even(proofs, findings)
    again = 0
    if listing is not None:
        check_input(listing, outline, recordings, places, broken, findings)
    if listing is not None and explainer is not None:
        chosen = draw(recordings, places, deep, seed)
        done = iter(range(1, len(chosen) + 1))
        tell = lambda: step("explaining again", next(done), len(chosen))  # noqa: E731
        again = explain_again(output, outline, chosen, explainer, listing, findings, tell)
    commits = outline.commits.values()
    return Proof(
        finished=outline.finished,
        shards=outline.record.shards,
        ended=len(outline.ended),
        parts=len(commits),
        recordings=sum(commit.recordings for commit in commits),
        windows=sum(commit.windows for commit in commits),
        errors=sum(commit.errors for commit in commits),
        masks=sum(proof.masks for proof in proofs),
        listenables=sum(proof.listenables for proof in proofs),
        files=sum(proof.files for proof in proofs),
        bytes=sum(proof.bytes for proof in proofs),
        again=again,
        findings=findings,
    )


def _check_strays(outline: Outline, there: set[str], findings: Findings) -> None:
    if not outline.finished:
        return  # a part that is being written has files before its commit
    named = {file.path for commit in outline.commits.values() for file in commit.files}
    for path in sorted(there - named - {file.path for file in outline.alone}):
        findings.add("stray_file", path, "no record names it, and a glob over the folder finds it")


def _prove_parts(
    output: RunOutput, outline: Outline, there: set[str], promise: Promise, findings: Findings, step: Step
) -> list[PartProof]:
    """All parts, and the files that only the manifest names, as a part each."""
    proofs = []
    with ThreadPoolExecutor(_THREADS) as pool:
        jobs = [pool.submit(prove_part, output, *item, there, promise) for item in outline.commits.items()]
        try:
            for number, job in enumerate(jobs, start=1):
                proofs.append(job.result())
                findings.take(proofs[-1].findings)
                step("reading parts", number, len(jobs))
        finally:
            for job in jobs:
                job.cancel()
    for file in outline.alone:
        proof = PartProof(findings=findings)
        data = fetch(output, file, there, findings)
        if data is not None and file.table is not None:
            read_rows(data, file, file.table, promise, proof)
    return proofs


def _check_even(proofs: list[PartProof], findings: Findings) -> None:
    """All masks of a run have one shape, and all embeddings one length."""
    shapes = set().union(*(proof.shapes for proof in proofs))
    if len(shapes) > 1:
        shown = "; ".join(f"{bins} x {frames} at {hop:g} s, {hz:g} Hz" for bins, frames, hop, hz in sorted(shapes))
        findings.add("uneven_shapes", "masks", f"masks of more than one shape: {shown}")
    widths = set().union(*(proof.widths for proof in proofs))
    if len(widths) > 1:
        findings.add("uneven_shapes", "predictions", f"embeddings of more than one length: {sorted(widths)}")
