"""Check one part of a run: its commit, each of its files by itself, then its tables against each other."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import get_args

import numpy as np
import pyarrow as pa

from pipeline.runs.output import RunOutput
from pipeline.runs.verify.agreement import check_audio_scores, check_predictions, check_scores, check_targets
from pipeline.runs.verify.census.check import Heard
from pipeline.runs.verify.files import Memory, fetch, open_table, stays_away
from pipeline.runs.verify.findings import Findings
from pipeline.runs.verify.listenables import Lowest, check_audio, check_drawn, drawn_keys, lowest_ranks
from pipeline.runs.verify.mask_bytes import Shape, check_masks
from pipeline.runs.verify.recordings import NO_RECORDINGS, recordings_of
from pipeline.runs.verify.settings import Settings
from pipeline.runs.verify.sums import check_commit
from pipeline.runs.verify.values import check_values, keys_of
from pipeline.storage.errors import StorageError
from schemas.records import CommitRecord, FileRecord, TableName
from schemas.tables import TABLES

# Columns of bytes: they are read a group of rows at a time.
_LARGE = ("mask", "audio")


@dataclass
class PartReport:
    """What was found in a part, and what it holds; `recordings` as `pipeline.runs.verify.recordings` has them.

    `commit` is None if none is usable. `whole` is False if a table could not be read, so that nothing can be said about
    its recordings. `widths` are the lengths of embeddings, `lowest` each target's windows of lowest rank. `heard` has,
    by recording, where its last window's sound ends and its labels, and `failed` the recordings in errors.
    """

    path: str
    commit: CommitRecord | None = None
    findings: Findings = field(default_factory=Findings)
    recordings: np.ndarray = field(default_factory=lambda: NO_RECORDINGS)
    shapes: set[Shape] = field(default_factory=set)
    widths: set[int] = field(default_factory=set)
    lowest: Lowest = field(default_factory=dict)
    heard: dict[str, Heard] = field(default_factory=dict)
    failed: set[str] = field(default_factory=set)
    files: int = 0
    bytes: int = 0
    masks: int = 0
    listenables: int = 0
    whole: bool = True

    @property
    def shard_id(self) -> str:
        """The shard in whose folder the commit lies."""
        return PurePosixPath(self.path).parent.name


class PartReader:
    """Reads the parts of a run; may be called by many threads at once."""

    def __init__(self, output: RunOutput, settings: Settings, finished: bool, memory: Memory) -> None:
        self._output, self._settings, self._finished, self._memory = output, settings, finished, memory

    def read(self, path: str) -> PartReport:
        """Read the commit at `path` and all files that it names, and check them."""
        report = PartReport(path)
        try:
            commit = self._output.read_commit(path)
        except StorageError as error:
            if stays_away(error):
                raise
            report.findings.add("damaged_record", path, str(error))
            return report
        if path != self._output.commit_path(commit.shard_id, commit.part):
            message = f"it is of part {commit.part} of {commit.shard_id}, and lies under another name"
            report.findings.add("misplaced_commit", path, message)
            return report
        report.commit = commit
        tables: dict[TableName, pa.Table] = {}
        paths: dict[TableName, str] = dict.fromkeys(get_args(TableName), path)
        # Candidates are removed at the end of a run, which may have come since.
        kept = not self._finished and (commit.candidates is None or not self._output.succeeded())
        files = [*commit.files, *filter(None, [commit.candidates if kept else None])]
        for file in sorted(files, key=lambda file: file.table != "predictions"):
            if file.table is None or file.table in tables:
                report.findings.add("doubled_file", path, f"a second file of {file.table}", file.path)
                continue
            paths[file.table] = file.path
            table = self.rows(file, file.table, report, tables.get("predictions"))
            if table is None:
                report.whole = False
            else:
                tables[file.table] = table
        if report.whole:
            for name in get_args(TableName):
                tables.setdefault(name, TABLES[name].empty_table())
            self._check_together(tables, paths, commit, report)
            if self._settings.listen.per_target is None or kept:
                found = keys_of(tables["listenables"], "listenables")
                expected = drawn_keys(tables["faithfulness"], self._settings)
                check_drawn(found, expected, self._settings, paths["listenables"], report.findings)
        return report

    def rows(
        self, file: FileRecord, name: TableName, report: PartReport, predictions: pa.Table | None = None
    ) -> pa.Table | None:
        """Return the rows of a table's file, checked, without masks and sound; None if they cannot be read."""
        report.files += 1
        report.bytes += file.bytes
        with self._memory.holding(file.bytes):
            data = fetch(self._output, file, report.findings)
            parquet = open_table(data, file, name, self._settings, report.findings) if data is not None else None
            if parquet is None:
                return None
            try:
                table = parquet.read(columns=[column for column in TABLES[name].names if column not in _LARGE])
                check_values(table, name, file.path, report.findings)
                if name == "faithfulness":
                    check_audio_scores(table, self._settings, file.path, report.findings)
                if name == "masks":
                    report.masks, report.shapes = check_masks(parquet, self._settings, file.path, report.findings)
                if name == "listenables":
                    check_audio(parquet, _lengths(predictions), self._settings, file.path, report.findings)
            except (pa.ArrowException, OSError) as error:
                report.findings.add("unreadable_table", file.path, str(error))
                return None
            return table

    def _check_together(
        self,
        tables: dict[TableName, pa.Table],
        paths: dict[TableName, str],
        commit: CommitRecord,
        report: PartReport,
    ) -> None:
        settings, findings = self._settings, report.findings
        report.listenables = len(tables["listenables"])
        report.widths = set(tables["predictions"]["embedding"].combine_chunks().value_lengths().to_pylist())
        report.recordings = recordings_of(tables, paths, findings)
        report.heard = heard_of(tables["predictions"])
        report.failed = set(tables["errors"]["clip_id"].to_pylist())
        check_commit(tables, settings, report.path, commit, findings)
        check_predictions(tables["predictions"], settings, paths["predictions"], findings)
        check_targets(tables, settings, paths, findings)
        check_scores(tables, settings, paths["faithfulness"], findings)
        if settings.listen.per_target is not None and settings.sides:
            report.lowest = lowest_ranks(tables["faithfulness"], settings.listen.per_target)
            drawn = {target: [window for _, window in ranked] for target, ranked in report.lowest.items()}
            if drawn != commit.drawn:
                message = "`drawn` is not the windows of lowest rank of each target in the part"
                findings.add("wrong_draw", report.path, message)


def heard_of(predictions: pa.Table) -> dict[str, Heard]:
    """Return what the rows of predictions say about each recording."""
    found: dict[str, Heard] = {}
    columns = ("clip_id", "start_s", "duration_s", "unheard_s", "label_true")
    for clip, start, duration, unheard, labels in zip(
        *(predictions[name].to_pylist() for name in columns), strict=True
    ):
        end = max(start + duration + unheard, found[clip].end_s if clip in found else 0.0)
        found[clip] = Heard(end, tuple(labels))
    return found


def _lengths(predictions: pa.Table | None) -> dict[str, float] | None:
    if predictions is None:
        return None
    return dict(zip(*(predictions[name].to_pylist() for name in ("window_id", "duration_s")), strict=True))
