"""The output of a run: its tables, its commits, its manifest, and the path of each."""

from __future__ import annotations

import hashlib
import io
import json
import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from typing import TypeVar, get_args

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import ValidationError

from pipeline.runs.store import FileStore, StoredFile
from pipeline.storage.errors import StorageError
from pipeline.storage.filesystem import display_url, join
from pipeline.trace import span
from schemas.errors import in_a_line
from schemas.records import RECORD_VERSION, CommitRecord, FileRecord, Manifest, RunRecord, TableName, VersionedRecord

_RUN, _MANIFEST, _SUCCESS, _COMMITS = "_run.json", "_manifest.json", "_SUCCESS", "_commits"
FILES = "_manifest.parquet"
CANDIDATES = "_candidates"
# Findings of `lmac audit`: not part of the run, rewritten by each audit.
AUDIT = "audit"
_COMMIT = re.compile(rf"{_COMMITS}/([^/]+)/(\d+)\.json")
_CONTENT = (*get_args(TableName), CANDIDATES)
_EXPLAINER = "explainer"

R = TypeVar("R", bound=VersionedRecord)

_REMEDIES: dict[type[VersionedRecord], str] = {
    RunRecord: "put back the file as it was, or explain into another output",
    CommitRecord: "delete it and run the same `lmac explain` again, which redoes its part",
    Manifest: "delete it and run the same `lmac explain` again, which writes it again",
}


class RunOutput(FileStore):
    """The output of a run, at a local path or any fsspec URL."""

    def write_table(
        self, name: TableName, stem: str, table: pa.Table, row_group_rows: int = 1024, folder: str | None = None
    ) -> FileRecord:
        """Write a Parquet file (zstd) as `<name>/<stem>-<12 hex digits of its SHA-256>.parquet`, or in `folder`.

        The digest in the name distinguishes the two files of a part that was written twice.
        """
        buffer = io.BytesIO()
        with span("Parquet"), pq.ParquetWriter(buffer, table.schema, compression="zstd") as writer:
            if table.num_rows:  # some readers cannot read a group without rows
                writer.write_table(table, row_group_rows)
        data = buffer.getvalue()
        digest = hashlib.sha256(data).hexdigest()[:12]
        path = f"{folder or name}/{stem}-{digest}.parquet"
        with span("put"):
            return self.write_bytes(path, data, table=name, rows=table.num_rows)

    def commit(self, record: CommitRecord) -> FileRecord:
        """Write the record that makes a part exist; all files that it names must have been written before."""
        with span("put"):
            return self._write_record(self.commit_path(record.shard_id, record.part), record)

    def commit_path(self, shard_id: str, part: int) -> str:
        """Return the path of a part's commit, relative to the output."""
        return f"{_COMMITS}/{shard_id}/{part:06d}.json"

    def commits(self) -> Iterator[CommitRecord]:
        """Read all commits by shard and part, a few hundred at a time; raises StorageError for a damaged one."""
        return self.read_commits(self.commit_files())

    def read_commits(self, files: Sequence[StoredFile]) -> Iterator[CommitRecord]:
        """Read the commits in these files, in their order; raises StorageError for one that is damaged or gone."""
        paths = [file.path for file in files]
        for path, data in zip(paths, self.read_many(paths), strict=True):
            yield self._parsed(path, data, CommitRecord)

    def commit_files(self) -> list[StoredFile]:
        """Return the files of all commits, unread, sorted by path."""
        return [file for file in self.stored(_COMMITS) if file.path.endswith(".json")]

    def read_commit(self, path: str) -> CommitRecord:
        """Return the commit in a file; raises StorageError when it is missing or damaged."""
        return self._read_record(path, CommitRecord)

    def committed_parts(self, shard_id: str = "") -> dict[str, list[int]]:
        """Return the numbers of the committed parts of each shard, or of one, from the names of the commits alone."""
        parts: dict[str, list[int]] = defaultdict(list)
        for file in self.stored(join(_COMMITS, shard_id)):
            if found := _COMMIT.fullmatch(file.path):
                parts[found[1]].append(int(found[2]))
        return dict(parts)

    def read_part(self, shard_id: str, part: int) -> CommitRecord:
        """Return the commit of a part; raises StorageError when it is missing or damaged."""
        return self.read_commit(self.commit_path(shard_id, part))

    def write_run_record(self, record: RunRecord) -> FileRecord:
        """Write the record of what the run was asked to do."""
        return self._write_record(_RUN, record)

    def read_run_record(self) -> RunRecord | None:
        """Return the record of what the run was asked to do; None if no run has begun."""
        return self._read_record(_RUN, RunRecord) if self.exists(_RUN) else None

    def begun(self) -> RunRecord:
        """Return the record of what the run was asked to do; raises StorageError when no run has begun."""
        record = self.read_run_record()
        if record is None:
            raise StorageError(f"{display_url(self.url)}: it has no {_RUN}: give the output of `lmac explain`")
        return record

    def write_manifest(self, manifest: Manifest) -> FileRecord:
        """Write the manifest, which leads to the run's files."""
        return self._write_record(_MANIFEST, manifest)

    def has_manifest(self) -> bool:
        """Return True when the run has ended, with or without shards given up."""
        return self.exists(_MANIFEST)

    def read_manifest(self) -> Manifest:
        """Return the manifest; raises StorageError when there is none."""
        if not self.has_manifest():
            raise StorageError(f"{display_url(self.url)}: it has no {_MANIFEST}: the run is not finished, resume it")
        return self._read_record(_MANIFEST, Manifest)

    def write_success(self) -> FileRecord:
        """Write the empty marker that says the run is whole."""
        return self.write_bytes(_SUCCESS, b"")

    def succeeded(self) -> bool:
        """Return True when the run is whole."""
        return self.exists(_SUCCESS)

    def files(self, table: TableName | None = None) -> list[FileRecord]:
        """Return the files of the run, or of one table, as `_manifest.parquet` names them, sorted by path."""
        named = self.read_manifest().files
        data = self.read_bytes(named.path)
        if hashlib.sha256(data).hexdigest() != named.sha256:
            raise StorageError(
                f"{display_url(join(self.url, named.path))}: it is not the file that {_MANIFEST} was written with: "
                f"delete both and run the same `lmac explain` again, which writes them again"
            )
        chosen = None if table is None else [("table", "=", table)]
        return [FileRecord(**row) for row in pq.read_table(io.BytesIO(data), filters=chosen).to_pylist()]

    def explainer_folder(self, digest: str) -> str:
        """Return the folder, relative to the output, for an explainer that is saved with the run."""
        return f"{_EXPLAINER}/{digest[:16]}"

    def explainer_files(self) -> list[StoredFile]:
        """Return the files of all explainers that are saved with the run."""
        return self.stored(_EXPLAINER)

    def content_files(self) -> list[StoredFile]:
        """Return all files of tables, named by a record or not."""
        return [file for folder in _CONTENT for file in self.stored(folder)]

    def sweep_orphans(self, named: Collection[str]) -> list[str]:
        """Delete the files of tables that are not among those `named`; return their paths, sorted.

        They are left by parts that were written but never committed, or written twice. The folder of candidates is
        removed when it is empty.
        """
        orphans = [file for file in self.content_files() if file.path not in named]
        self.delete(orphans)
        self.drop_empty_folder(CANDIDATES)
        return sorted(file.path for file in orphans)

    def _write_record(self, path: str, record: VersionedRecord) -> FileRecord:
        return self.write_bytes(path, record.model_dump_json(indent=1).encode())

    def _read_record(self, path: str, kind: type[R]) -> R:
        return self._parsed(path, self.read_bytes(path), kind)

    def _parsed(self, path: str, data: bytes, kind: type[R]) -> R:
        shown = display_url(join(self.url, path))
        try:
            record = kind.model_validate_json(data)
        except ValidationError as error:
            _refuse_version(shown, _version(data))
            raise StorageError(
                f"{shown}: it is not a valid {kind.__name__} ({in_a_line(error)}); it is damaged: {_REMEDIES[kind]}"
            ) from error
        _refuse_version(shown, record.record_version)
        return record


def _refuse_version(shown: str, version: object) -> None:
    if version != RECORD_VERSION:
        raise StorageError(
            f"{shown}: this run was written by an lmac of schema version {version}, and this one reads version "
            f"{RECORD_VERSION} alone: explain into another output"
        )


def _version(data: bytes) -> object:
    """Return the version that a record states, whatever its fields are; the current one if it states none."""
    try:
        return json.loads(data).get("record_version", RECORD_VERSION)
    except (ValueError, AttributeError):
        return RECORD_VERSION
