"""The files of a run: written whole or not at all, and found again by what the records name."""

from __future__ import annotations

import hashlib
import io
import os
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar, get_args

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import ValidationError

from pipeline.storage.errors import StorageError, explained
from pipeline.storage.filesystem import display_url, is_local, is_plain, is_url, join, open_filesystem
from pipeline.storage.retry import retrying
from schemas.records import CommitRecord, FileRecord, Manifest, Record, RunRecord, TableName

_READ_THREADS = 16
_RUN, _MANIFEST, _SUCCESS, _COMMITS, _AUDIO = "_run.json", "_manifest.json", "_SUCCESS", "_commits", "audio"

R = TypeVar("R", bound=Record)


class RunOutput:
    """The output of a run, at a local path or any fsspec URL.

    Paths are relative to it, with `/`. A file appears under its name when all of it is there, never half.
    """

    def __init__(self, url: str) -> None:
        self._fs, self._root = open_filesystem(url)
        self.url = url.rstrip("/") if is_url(url) else self._root

    def write_bytes(
        self, path: str, data: bytes, table: TableName | None = None, rows: int | None = None
    ) -> FileRecord:
        """Write a file; what was there under the same name is replaced.

        Raises StorageError when the path leaves the output, or the storage refuses or stays away.
        """
        target, what = self._path(path), f"writing {display_url(join(self.url, path))}"
        with explained(what):
            retrying(lambda: self._put(target, data), what=what)
        return FileRecord(path=path, bytes=len(data), sha256=hashlib.sha256(data).hexdigest(), table=table, rows=rows)

    def write_table(self, name: TableName, part_stem: str, table: pa.Table, row_group_rows: int = 1024) -> FileRecord:
        """Write a Parquet file (zstd) as `<name>/<part_stem>-<12 hex digits of its SHA-256>.parquet`.

        The digest in the name keeps a part that was written twice apart from its twin.
        """
        buffer = io.BytesIO()
        pq.write_table(table, buffer, compression="zstd", row_group_size=row_group_rows)
        data = buffer.getvalue()
        digest = hashlib.sha256(data).hexdigest()[:12]
        return self.write_bytes(f"{name}/{part_stem}-{digest}.parquet", data, table=name, rows=table.num_rows)

    def read_bytes(self, path: str) -> bytes:
        """Read a file; raises StorageError when it is missing or out of reach."""
        target, what = self._path(path), f"reading {display_url(join(self.url, path))}"
        with explained(what):
            return bytes(retrying(lambda: self._fs.cat_file(target), what=what))

    def commit(self, record: CommitRecord) -> FileRecord:
        """Write the record that makes a part exist; everything that it names must have been written before."""
        return self._write_record(f"{_COMMITS}/{record.shard_id}/{record.part:06d}.json", record)

    def commits(self) -> list[CommitRecord]:
        """Return all commits, sorted by shard and part; raises StorageError for a damaged one."""
        return self._read_commits(_COMMITS)

    def committed(self, shard_id: str) -> list[CommitRecord]:
        """Return the commits of one shard, sorted by part."""
        return self._read_commits(f"{_COMMITS}/{shard_id}")

    def write_run_record(self, record: RunRecord) -> FileRecord:
        """Write what the run was asked to do."""
        return self._write_record(_RUN, record)

    def read_run_record(self) -> RunRecord | None:
        """Return what the run was asked to do; None where no run has begun."""
        return self._read_record(_RUN, RunRecord) if self._exists(_RUN) else None

    def write_manifest(self, manifest: Manifest) -> FileRecord:
        """Write the manifest, by which the run's files are found."""
        return self._write_record(_MANIFEST, manifest)

    def read_manifest(self) -> Manifest:
        """Return the manifest; raises StorageError when there is none."""
        if not self._exists(_MANIFEST):
            raise StorageError(f"{display_url(self.url)}: it has no {_MANIFEST}: the run is not finished, resume it")
        return self._read_record(_MANIFEST, Manifest)

    def write_success(self) -> FileRecord:
        """Write the empty marker that says the run is whole."""
        return self.write_bytes(_SUCCESS, b"")

    def succeeded(self) -> bool:
        """Return True when the run is whole."""
        return self._exists(_SUCCESS)

    def files(self, table: TableName) -> list[str]:
        """Return the URLs of a table's files, by the manifest."""
        return [join(self.url, file.path) for file in self.read_manifest().tables.get(table, [])]

    def sweep_orphans(self, manifest: Manifest) -> list[str]:
        """Delete the table and audio files that the manifest does not name; return their paths, sorted.

        They are left by parts that were written but never committed, or written twice.
        """
        named = {file.path for files in manifest.tables.values() for file in files}
        named |= {file.path for file in manifest.audio}
        found = [path for folder in (*get_args(TableName), _AUDIO) for path in self._list(folder)]
        orphans = sorted(path for path in found if path not in named)
        with ThreadPoolExecutor(_READ_THREADS) as pool:
            list(pool.map(self._delete, orphans))
        return orphans

    def _path(self, path: str) -> str:
        if not is_plain(path):
            raise StorageError(f"{path!r} is not a plain path relative to the output")
        return join(self._root, path)

    def _put(self, target: str, data: bytes) -> None:
        if not is_local(self._fs):
            self._fs.pipe_file(target, data)
            return
        folder = os.path.dirname(target)
        os.makedirs(folder, exist_ok=True)
        temporary = os.path.join(folder, f".{uuid.uuid4().hex}.tmp")
        try:
            with open(temporary, "wb") as file:
                file.write(data)
            os.replace(temporary, target)
        except BaseException:
            if os.path.exists(temporary):
                os.remove(temporary)
            raise

    def _delete(self, path: str) -> None:
        target = join(self._root, path)
        try:
            retrying(lambda: self._fs.rm_file(target), what=f"deleting {display_url(join(self.url, path))}")
        except FileNotFoundError:
            return

    def _exists(self, path: str) -> bool:
        target, what = self._path(path), f"looking for {display_url(join(self.url, path))}"
        with explained(what):
            try:
                retrying(lambda: self._fs.info(target), what=what)
            except FileNotFoundError:
                return False
        return True

    def _list(self, folder: str) -> list[str]:
        target, what = self._path(folder), f"listing {display_url(join(self.url, folder))}"
        with explained(what):
            try:
                found = retrying(lambda: self._fs.find(target), what=what)
            except FileNotFoundError:
                return []
        return sorted(path.removeprefix(f"{self._root}/") for path in found)

    def _read_commits(self, folder: str) -> list[CommitRecord]:
        paths = [path for path in self._list(folder) if path.endswith(".json")]
        with ThreadPoolExecutor(_READ_THREADS) as pool:
            records = list(pool.map(lambda path: self._read_record(path, CommitRecord), paths))
        return sorted(records, key=lambda record: (record.shard_id, record.part))

    def _write_record(self, path: str, record: Record) -> FileRecord:
        return self.write_bytes(path, record.model_dump_json(indent=1).encode())

    def _read_record(self, path: str, kind: type[R]) -> R:
        try:
            return kind.model_validate_json(self.read_bytes(path))
        except ValidationError as error:
            raise StorageError(
                f"{display_url(join(self.url, path))}: it is not a valid {kind.__name__}; it is damaged, or was "
                f"written by another version ({error})"
            ) from error
