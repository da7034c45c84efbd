"""Check the manifest of a run against its commits, and against the files that are there."""

from __future__ import annotations

import hashlib
import io
from array import array
from collections import defaultdict
from collections.abc import Iterator
from typing import get_args

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import ValidationError

from pipeline.runs.output import CANDIDATES, RunOutput
from pipeline.runs.verify.files import fetch, stays_away
from pipeline.runs.verify.findings import Findings
from pipeline.runs.verify.sums import check_sums, numbers_of
from pipeline.storage.errors import StorageError
from schemas.records import CommitRecord, FileRecord, Manifest, TableName, TableTotals

MANIFEST, SUCCESS = "_manifest.json", "_SUCCESS"
_COUNTS = ("recordings", "windows", "errors", "partly")
_BATCH_ROWS = 4096


class ManifestCheck:
    """What the manifest says, compared with one commit after the other.

    Keeps 17 bytes for each file that it names: a digest of the path, one of the whole record, and whether a commit has
    named it. `manifest` is None if there is none that can be read.
    """

    def __init__(self, output: RunOutput, findings: Findings) -> None:
        self._output, self._findings = output, findings
        self.succeeded = output.succeeded()
        self.manifest = self._read()
        self.listed = self.manifest is not None and fetch(output, self.manifest.files, findings) is not None
        self._paths, self._records = self._digests()
        self._named = np.zeros(len(self._paths), bool)
        self._given_up = {shard.shard_id for shard in self.manifest.quarantined} if self.manifest else set()
        self._totals = dict.fromkeys((*_COUNTS, "parts"), 0)
        self._sums: dict[tuple[str, ...], float] = defaultdict(float)

    @property
    def finished(self) -> bool:
        """Whether the run says that it is whole."""
        return self.succeeded or (self.manifest is not None and self.manifest.complete)

    def add(self, path: str, commit: CommitRecord) -> bool:
        """Check a commit's files against the manifest's; True if the manifest counts it, or there is no manifest."""
        if self.manifest is None:
            return True
        lacking = [file.path for file in commit.files if self.listed and not self._find(path, file)]
        if lacking:
            # A shard that was given up may be tried again, and the manifest is then rewritten at the end.
            if commit.shard_id in self._given_up:
                return False
            message = f"the manifest lacks {len(lacking)} of its files"
            self._findings.add("stale_commit", path, message, lacking[0])
        for name in _COUNTS:
            self._totals[name] += getattr(commit, name)
        self._totals["parts"] += 1
        for key, number in numbers_of(commit.sums).items():
            self._sums[key] += number
        return True

    def alone(self) -> Iterator[FileRecord]:
        """Yield the files that only the manifest names, and no commit: empty tables, and drawn listenables.

        Call it when all commits have been added.
        """
        alone = set(self._paths[~self._named].tolist())
        if alone:
            yield from (file for file in self._files() if _digest(file.path) in alone)

    def check_totals(self) -> None:
        """Check what the manifest counts and sums against the commits that were added."""
        if self.succeeded and (self.manifest is None or not self.manifest.complete):
            what = "shards that were given up" if self.manifest else "no manifest that can be read"
            self._findings.add("false_success", SUCCESS, f"it says that the run is whole, but there are {what}")
        if self.manifest is None:
            return
        for name, count in self._totals.items():
            if count != getattr(self.manifest, name):
                message = f"{getattr(self.manifest, name)} {name}, the commits have {count}"
                self._findings.add("wrong_count", MANIFEST, message)
        check_sums(self._sums, numbers_of(self.manifest.sums), MANIFEST, self._findings)

    def check_strays(self) -> None:
        """Check that the folders of a finished run hold no file that the manifest does not name."""
        if not self.finished or not self.listed:
            return  # a part that is being written has files before its commit
        for folder in (*get_args(TableName), CANDIDATES):
            for file in self._output.stored(folder):
                if self._place(file.path) is None:
                    message = "no record names it, and a glob over the folder finds it"
                    self._findings.add("stray_file", file.path, message)

    def _read(self) -> Manifest | None:
        if not self._output.has_manifest():
            return None
        try:
            return self._output.read_manifest()
        except StorageError as error:
            if stays_away(error):
                raise
            self._findings.add("damaged_record", MANIFEST, str(error))
            return None

    def _files(self) -> Iterator[FileRecord]:
        """Yield the files that the manifest names, some thousands at a time."""
        assert self.manifest is not None
        parquet = pq.ParquetFile(io.BytesIO(self._output.read_bytes(self.manifest.files.path)))
        for batch in parquet.iter_batches(_BATCH_ROWS):
            for row in batch.to_pylist():
                yield FileRecord.model_validate(row)

    def _digests(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the digests of all paths, ascending, and of each file's record; checks the tables' totals."""
        paths, records = array("Q"), array("Q")
        totals = {name: [0, 0, 0] for name in get_args(TableName)}
        try:
            for file in self._files() if self.listed else ():
                paths.append(_digest(file.path))
                records.append(_digest(file.model_dump_json()))
                for i, number in enumerate((1, file.rows or 0, file.bytes)):
                    totals[str(file.table)][i] += number
        except (pa.ArrowException, ValidationError, OSError, KeyError) as error:
            assert self.manifest is not None
            self._findings.add("unreadable_table", self.manifest.files.path, str(error))
            self.listed = False
        if self.listed and self.manifest:
            found = {name: TableTotals(files=n, rows=rows, bytes=size) for name, (n, rows, size) in totals.items()}
            for name, total in found.items():
                if self.manifest.tables.get(name) != total:
                    message = f"{name}: {self.manifest.tables.get(name)}, the files that it names have {total}"
                    self._findings.add("wrong_count", MANIFEST, message)
        order = np.argsort(np.frombuffer(paths, np.uint64))
        return np.frombuffer(paths, np.uint64)[order], np.frombuffer(records, np.uint64)[order]

    def _find(self, path: str, file: FileRecord) -> bool:
        """Whether the manifest names a commit's file; its record must then be the same."""
        place = self._place(file.path)
        if place is None:
            return False
        if self._records[place] != _digest(file.model_dump_json()):
            message = f"the manifest and {path} record it differently"
            self._findings.add("record_differs", MANIFEST, message, file.path)
        self._named[place] = True
        return True

    def _place(self, path: str) -> int | None:
        digest = np.uint64(_digest(path))
        place = int(np.searchsorted(self._paths, digest))
        return place if place < len(self._paths) and self._paths[place] == digest else None


def _digest(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
