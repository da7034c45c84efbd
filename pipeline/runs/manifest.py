"""The manifest of a run: every file that belongs to it, in a Parquet file, and the totals, in JSON."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import get_args

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.runs.output import FILES, RunOutput
from schemas.records import (
    CommitRecord,
    FileRecord,
    Manifest,
    QuarantinedShard,
    Sums,
    TableName,
    TableTotals,
    TargetSums,
)
from schemas.tables import TABLES

_COUNTS = ("recordings", "windows", "errors", "partly")
_SUMS = tuple(TargetSums.model_fields)
_COLUMNS = pa.schema(
    [
        pa.field("path", pa.string(), nullable=False),
        pa.field("bytes", pa.int64(), nullable=False),
        pa.field("sha256", pa.string(), nullable=False),
        pa.field("table", pa.dictionary(pa.int8(), pa.string()), nullable=False),
        pa.field("rows", pa.int64(), nullable=False),
    ]
)


class ManifestBuilder:
    """Adds up commits, one after the other; keeps a row for each file, but no commit."""

    def __init__(self, output: RunOutput) -> None:
        self._output = output
        self._files: list[tuple[str, int, str, str, int]] = []
        self._totals = dict.fromkeys((*_COUNTS, "parts"), 0)
        self._targets: dict[str, list[float]] = {}
        self._reasons: Counter[str] = Counter()
        self._left_out: Counter[str] = Counter()
        self._labelled = self._hits = 0

    @property
    def paths(self) -> set[str]:
        """The paths of all files added."""
        return {path for path, *_ in self._files}

    def add(self, commit: CommitRecord) -> None:
        """Add a part: its files, its counts and its sums."""
        self.add_files(commit.files)
        for name in _COUNTS:
            self._totals[name] += getattr(commit, name)
        self._totals["parts"] += 1
        for target, sums in commit.sums.targets.items():
            before = self._targets.get(target, [0.0] * len(_SUMS))
            self._targets[target] = [total + getattr(sums, name) for total, name in zip(before, _SUMS, strict=True)]
        self._reasons.update(commit.sums.reasons)
        self._left_out.update(commit.sums.left_out)
        self._labelled += commit.sums.labelled
        self._hits += commit.sums.hits

    def add_left_out(self, counts: Mapping[str, int]) -> None:
        """Add the counts, by kind, of what the listing of the input left out."""
        self._left_out.update(counts)

    def add_files(self, files: Iterable[FileRecord]) -> None:
        """Add files of tables."""
        self._files += [(file.path, file.bytes, file.sha256, str(file.table), file.rows or 0) for file in files]

    def write(self, quarantined: Sequence[QuarantinedShard]) -> Manifest:
        """Write the list of files, then the manifest that names it; a table without a file gets an empty one."""
        for name in get_args(TableName):
            if not any(table == name for *_, table, _ in self._files):
                self.add_files([self._output.write_table(name, "empty", TABLES[name].empty_table())])
        self._files.sort()
        columns = [
            pa.array(column, field.type) for column, field in zip(zip(*self._files, strict=True), _COLUMNS, strict=True)
        ]
        table = pa.Table.from_arrays(columns, schema=_COLUMNS)
        buffer = io.BytesIO()
        pq.write_table(table, buffer, compression="zstd")
        manifest = Manifest(
            complete=not quarantined,
            **self._totals,
            tables={name: self._total(name) for name in get_args(TableName)},
            sums=Sums(
                targets={
                    target: TargetSums.model_validate(dict(zip(_SUMS, totals, strict=True)))
                    for target, totals in sorted(self._targets.items())
                },
                reasons=dict(sorted(self._reasons.items())),
                labelled=self._labelled,
                hits=self._hits,
                left_out=dict(sorted(self._left_out.items())),
            ),
            files=self._output.write_bytes(FILES, buffer.getvalue(), rows=len(self._files)),
            quarantined=list(quarantined),
        )
        self._output.write_manifest(manifest)
        return manifest

    def _total(self, name: TableName) -> TableTotals:
        of_table = [(size, rows) for _, size, _, table, rows in self._files if table == name]
        return TableTotals(
            files=len(of_table), rows=sum(rows for _, rows in of_table), bytes=sum(size for size, _ in of_table)
        )
