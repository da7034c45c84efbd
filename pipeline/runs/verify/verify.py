"""Read a whole run again from storage and check it: what `lmac verify` does."""

from __future__ import annotations

import os
from collections import Counter, deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import count, groupby

import numpy as np

from pipeline.inputs.label_table import ground_truth, load_labels
from pipeline.inputs.labels import GroundTruth
from pipeline.inputs.listing import Listing, list_input
from pipeline.runs.output import RunOutput
from pipeline.runs.verify.against_input import InputCheck
from pipeline.runs.verify.census.check import Heard, InputCount, count_input
from pipeline.runs.verify.chain import Chain
from pipeline.runs.verify.files import Memory
from pipeline.runs.verify.findings import Findings
from pipeline.runs.verify.listenables import Lowest, check_drawn, take_lowest, with_sides
from pipeline.runs.verify.manifest_check import MANIFEST, ManifestCheck
from pipeline.runs.verify.mask_bytes import Shape
from pipeline.runs.verify.part import PartReader, PartReport
from pipeline.runs.verify.recordings import NO_RECORDINGS, SeenRecordings, check_recordings
from pipeline.runs.verify.settings import Settings
from pipeline.runs.verify.values import keys_of
from pipeline.runs.verify.window_draw import WindowDraw
from pipeline.storage.errors import InputError
from schemas.input_config import InputConfig
from schemas.records import RunRecord

# Parts that are read at once, how far they may be read ahead of the current one, and the bytes of their files that are
# held together.
_THREADS, _AHEAD, _HELD_BYTES = 8, 32, 256 << 20

Step = Callable[[str, int, int], object]


@dataclass
class Verification:
    """What was checked in a run, and what was found.

    `ended` counts the shards whose parts are all committed, `masks` the stored masks, not their rows, `reexplained` the
    windows that were explained again; `input` is the input, counted by code other than the run's.
    """

    shards: int
    finished: bool
    ended: int = 0
    parts: int = 0
    recordings: int = 0
    windows: int = 0
    errors: int = 0
    masks: int = 0
    listenables: int = 0
    files: int = 0
    bytes: int = 0
    reexplained: int = 0
    input: InputCount | None = None
    findings: Findings = field(default_factory=Findings)


def verify(
    run: str | os.PathLike[str],
    input_url: str | os.PathLike[str] | None = None,
    deep: int = 0,
    explainer: str | os.PathLike[str] | None = None,
    seed: int = 0,
    step: Step = lambda what, done, of: None,
    labels: str | os.PathLike[str] | None = None,
    device: str = "auto",
) -> Verification:
    """Read everything that a run has written, and check it: bytes, rows, ranges, and that all of it belongs together.

    With `input_url` the input is counted and decoded by independent code, and compared; `deep` windows, drawn by
    `seed`, are explained again from it, on `device`: `cpu`, `cuda`, or `auto`, a GPU if there is one. `labels` is the
    run's table of labels, which is compared as well, and is needed if it names segments. `step` is called with what is
    being done, how much of it is done, and the total. Time grows with what the run has written, and with the input's
    sound; memory holds the path of each part, 16 bytes per recording (with the input some 300), and 17 per file. Raises
    StorageError when there is no run or the storage cannot be reached, InputError for the input, and ExplainerError for
    an explainer that is not the run's.
    """
    if deep and input_url is None:
        raise InputError("windows are explained again from the run's input: pass it, as input_url or --input")
    output, findings = RunOutput(os.fspath(run)), Findings()
    record = output.begun()
    settings = Settings.read(record)
    loaded = None
    if deep:
        # Imported here, as it needs torch, which nothing else does.
        from pipeline.runs.verify.reexplain import load_recorded, reexplain

        given = os.fspath(explainer) if explainer is not None else None
        loaded = load_recorded(output, record, given, device)
    listing, truth = None, GroundTruth()
    if input_url:
        listing, truth = _input(record, os.fspath(input_url), labels)
    manifest = ManifestCheck(output, findings)
    found = Verification(record.shards, manifest.finished, findings=findings)
    reader = PartReader(output, settings, manifest.finished, Memory(_HELD_BYTES))
    against = InputCheck(listing, truth, record, findings) if listing is not None else None
    shapes, seen, draw = _Shapes(), SeenRecordings(), WindowDraw(deep, seed)
    lowest: Lowest = {}
    heard: dict[str, Heard] = {}
    failed: set[str] = set()
    paths = [file.path for file in output.commit_files()]
    for shard_id, reports in groupby(_read(reader.read, paths, step), key=lambda report: report.shard_id):
        chain, whole, recordings = Chain(shard_id, settings, findings), True, [NO_RECORDINGS]
        for report in reports:
            findings.take(report.findings)
            if report.commit is None:
                continue
            chain.add(report.path, report.commit)
            counted = manifest.add(report.path, report.commit)
            if settings.listen.per_target is not None and counted:
                take_lowest(lowest, report.lowest, settings.listen.per_target)
            _count(found, report)
            shapes.add(report)
            draw.add(shard_id, report.commit.part, report.recordings)
            recordings.append(report.recordings)
            whole &= report.whole
            if against is not None:
                failed |= report.failed
                for clip, part in report.heard.items():
                    heard[clip] = part if clip not in heard or part.end_s > heard[clip].end_s else heard[clip]
        chain.close(manifest.finished)
        found.ended += chain.ended
        # Missing windows are not reported if parts are missing, or cannot be read.
        ids = check_recordings(np.concatenate(recordings), shard_id, chain.broken or not whole, findings)
        seen.add(shard_id, ids)
        if against is not None:
            against.check_shard(shard_id, ids, chain.ended and whole)
    seen.check(findings)
    _check_alone(manifest, reader, lowest, settings, found)
    shapes.check(findings)
    manifest.check_totals()
    manifest.check_strays()
    if manifest.finished and found.ended != record.shards:
        message = f"{found.ended} of {record.shards} shards are complete"
        findings.add("missing_shard", "_run.json", message)
    if against is not None:
        against.close(manifest.finished)
    if input_url and manifest.finished:
        # With other readers than those of the run and of the check above.
        reading = InputConfig.recorded(record.config, os.fspath(labels) if labels is not None else None)
        by_table = record.config.get("labels_digest") is not None and labels is None
        turns = count(1)
        found.input = count_input(
            os.fspath(input_url),
            record.config,
            reading,
            heard=heard,
            failed=frozenset(failed),
            findings=findings,
            step=lambda: step("listening to the input", next(turns), len(heard)),
            labels=not by_table,
        )
    if listing is not None and loaded is not None:
        chosen = draw.windows
        done = iter(range(1, len(chosen) + 1))
        tell = lambda: step("explaining again", next(done), len(chosen))  # noqa: E731
        found.reexplained = reexplain(
            output, record.config, chosen, loaded, listing=listing, truth=truth, findings=findings, step=tell
        )
    return found


def _input(record: RunRecord, input_url: str, labels_url: str | os.PathLike[str] | None) -> tuple[Listing, GroundTruth]:
    """Return the input as the run has read it, and where its labels came from."""
    config = record.config
    if config.get("label_segments") and labels_url is None:
        raise InputError("the run's table of labels says what its segments are: give it with --labels")
    reading = InputConfig.recorded(config, os.fspath(labels_url) if labels_url is not None else None)
    listing = list_input(input_url, reading, config.get("sample"), files_per_shard=config["files_per_shard"])
    table = load_labels(reading)
    if table is not None and table.digest != config.get("labels_digest"):
        raise InputError(f"{table.shown}: it is not the table of labels that the run was made with")
    return listing, ground_truth(listing, reading, table)


def _read(read: Callable[[str], PartReport], paths: list[str], step: Step) -> Iterator[PartReport]:
    """Yield the parts with commits at these paths, in order, read by threads that are a few parts ahead."""
    waiting: deque[Future[PartReport]] = deque()
    with ThreadPoolExecutor(_THREADS) as pool:
        try:
            for number in range(1, len(paths) + 1):
                while len(waiting) < _AHEAD and number + len(waiting) <= len(paths):
                    waiting.append(pool.submit(read, paths[number + len(waiting) - 1]))
                yield waiting.popleft().result()
                step("reading parts", number, len(paths))
        finally:
            for future in waiting:
                future.cancel()


def _count(found: Verification, report: PartReport) -> None:
    found.files += report.files
    found.bytes += report.bytes
    found.masks += report.masks
    found.listenables += report.listenables
    if report.commit is not None:
        found.parts += 1
        found.recordings += report.commit.recordings
        found.windows += report.commit.windows
        found.errors += report.commit.errors


def _check_alone(
    manifest: ManifestCheck, reader: PartReader, lowest: Lowest, settings: Settings, found: Verification
) -> None:
    """Check the files that only the manifest names: empty tables, and listenables drawn per target."""
    drawn: list[tuple[str, ...]] = []
    for file in manifest.alone():
        report = PartReport(file.path)
        table = reader.rows(file, file.table, report) if file.table is not None else None
        if table is not None and file.table == "listenables" and settings.listen.per_target is not None:
            drawn += keys_of(table, "listenables")
        elif file.rows != 0:
            message = "no commit names this file of the manifest"
            report.findings.add("missing_commit", MANIFEST, message, file.path)
        found.listenables += len(table) if table is not None and file.table == "listenables" else 0
        found.findings.take(report.findings)
        _count(found, report)
    for key in sorted(key for key, rows in Counter(drawn).items() if rows > 1):
        found.findings.add("doubled_row", MANIFEST, "a drawn listenable is there twice", " ".join(key))
    if settings.listen.per_target is not None and manifest.listed:
        check_drawn(drawn, with_sides(lowest, settings), settings, MANIFEST, found.findings)


class _Shapes:
    """Checks that all masks of a run have one shape, and all embeddings one length."""

    def __init__(self) -> None:
        self._masks: set[Shape] = set()
        self._embeddings: set[int] = set()

    def add(self, report: PartReport) -> None:
        self._masks |= report.shapes
        self._embeddings |= report.widths

    def check(self, findings: Findings) -> None:
        if len(self._masks) > 1:
            shown = "; ".join(
                f"{bins} x {frames} at {hop:g} s, {hz:g} Hz" for bins, frames, hop, hz in sorted(self._masks)
            )
            findings.add("uneven_shapes", "masks", f"masks of more than one shape: {shown}")
        if len(self._embeddings) > 1:
            message = f"embeddings of more than one length: {sorted(self._embeddings)}"
            findings.add("uneven_shapes", "predictions", message)
