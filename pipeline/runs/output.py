"""The files of a run: written whole or not at all, and found again by what the records name."""

from __future__ import annotations

import hashlib
import io
import os
import re
import uuid
from collections import defaultdict
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, TypeVar, get_args

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import ValidationError

from pipeline.storage.errors import StorageError, storage_errors
from pipeline.storage.filesystem import display_url, is_local, is_plain, is_url, join, open_filesystem, put_file
from pipeline.storage.retry import retrying
from schemas.errors import in_a_line
from schemas.records import CommitRecord, FileRecord, Manifest, Record, RunRecord, TableName

_READ_THREADS = 16
_RUN, _MANIFEST, _SUCCESS, _COMMITS = "_run.json", "_manifest.json", "_SUCCESS", "_commits"
_COMMIT = re.compile(rf"{_COMMITS}/([^/]+)/(\d+)\.json")
_CONTENT = (*get_args(TableName), "audio")
_EXPLAINER = "explainer"

R = TypeVar("R", bound=Record)

_REMEDIES: dict[type[Record], str] = {
    RunRecord: "put back the file as it was, or explain into another output",
    CommitRecord: "delete it and give the same `lmac explain` again, which makes its part anew",
    Manifest: "delete it and give the same `lmac explain` again, which writes it anew",
}


@dataclass(frozen=True)
class StoredFile:
    """A file as the storage lists it; `modified` is when it was written, None where the storage does not say."""

    path: str
    bytes: int
    modified: datetime | None


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
        with storage_errors(what):
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
        with storage_errors(what):
            return bytes(retrying(lambda: self._fs.cat_file(target), what=what))

    def commit(self, record: CommitRecord) -> FileRecord:
        """Write the record that makes a part exist; everything that it names must have been written before."""
        return self._write_record(self.commit_path(record.shard_id, record.part), record)

    def commit_path(self, shard_id: str, part: int) -> str:
        """Return where the commit of a part lies, relative to the output."""
        return f"{_COMMITS}/{shard_id}/{part:06d}.json"

    def commits(self) -> list[CommitRecord]:
        """Return all commits, sorted by shard and part; raises StorageError for a damaged one."""
        with ThreadPoolExecutor(_READ_THREADS) as pool:
            records = list(pool.map(self.read_commit, (file.path for file in self.commit_files())))
        return sorted(records, key=lambda record: (record.shard_id, record.part))

    def commit_files(self) -> list[StoredFile]:
        """Return the files of all commits, unread, sorted by path."""
        return [file for file in self.stored(_COMMITS) if file.path.endswith(".json")]

    def read_commit(self, path: str) -> CommitRecord:
        """Return the commit in a file; raises StorageError when it is missing or damaged."""
        return self._read_record(path, CommitRecord)

    def committed_parts(self, shard_id: str = "") -> dict[str, list[int]]:
        """Return the numbers of the committed parts of each shard, or of one, by the names of the commits alone."""
        parts: dict[str, list[int]] = defaultdict(list)
        for file in self.stored(join(_COMMITS, shard_id)):
            if found := _COMMIT.fullmatch(file.path):
                parts[found[1]].append(int(found[2]))
        return dict(parts)

    def read_part(self, shard_id: str, part: int) -> CommitRecord:
        """Return the commit of a part; raises StorageError when it is missing or damaged."""
        return self.read_commit(self.commit_path(shard_id, part))

    def write_run_record(self, record: RunRecord) -> FileRecord:
        """Write what the run was asked to do."""
        return self._write_record(_RUN, record)

    def read_run_record(self) -> RunRecord | None:
        """Return what the run was asked to do; None where no run has begun."""
        return self._read_record(_RUN, RunRecord) if self._exists(_RUN) else None

    def begun(self) -> RunRecord:
        """Return what the run was asked to do; raises StorageError where no run has begun."""
        record = self.read_run_record()
        if record is None:
            raise StorageError(f"{display_url(self.url)}: it has no {_RUN}: give the output of `lmac explain`")
        return record

    def write_manifest(self, manifest: Manifest) -> FileRecord:
        """Write the manifest, by which the run's files are found."""
        return self._write_record(_MANIFEST, manifest)

    def has_manifest(self) -> bool:
        """Return True when the run came to its end, with shards given up or without."""
        return self._exists(_MANIFEST)

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
        return self._exists(_SUCCESS)

    def files(self, table: TableName) -> list[str]:
        """Return the URLs of a table's files, by the manifest."""
        return [join(self.url, file.path) for file in self.read_manifest().tables.get(table, [])]

    def explainer_folder(self, digest: str) -> str:
        """Return the folder, relative to the output, for an explainer that is saved with the run."""
        return f"{_EXPLAINER}/{digest[:16]}"

    def explainer_files(self) -> list[StoredFile]:
        """Return the files of all explainers that are saved with the run."""
        return self.stored(_EXPLAINER)

    def content_files(self) -> list[StoredFile]:
        """Return all files of tables and audio, named by a record or not."""
        return [file for folder in _CONTENT for file in self.stored(folder)]

    def stored(self, folder: str = "", deep: bool = True) -> list[StoredFile]:
        """Return the files in a folder, with all below it if `deep`, sorted by path; none where there is no folder."""
        target, what = self._path(folder) if folder else self._root, f"listing {display_url(join(self.url, folder))}"

        def look() -> dict[str, dict[str, Any]]:
            if deep:
                return dict(self._fs.find(target, detail=True))
            return {info["name"]: info for info in self._fs.ls(target, detail=True) if info["type"] == "file"}

        with storage_errors(what):
            try:
                found = retrying(look, what=what)
            except FileNotFoundError:
                return []
        files = ((path.removeprefix(f"{self._root}/"), info) for path, info in found.items())
        return sorted(
            (StoredFile(path, int(info.get("size") or 0), _modified(info)) for path, info in files),
            key=lambda file: file.path,
        )

    def delete(self, files: Iterable[StoredFile]) -> None:
        """Delete files; one that is gone already is no error."""
        with ThreadPoolExecutor(_READ_THREADS) as pool:
            list(pool.map(lambda file: self._delete(file.path), files))

    def sweep_orphans(self, manifest: Manifest) -> list[str]:
        """Delete the table and audio files that the manifest does not name; return their paths, sorted.

        They are left by parts that were written but never committed, or written twice.
        """
        named = {file.path for file in manifest.files()}
        orphans = [file for file in self.content_files() if file.path not in named]
        self.delete(orphans)
        return sorted(file.path for file in orphans)

    def _path(self, path: str) -> str:
        if not is_plain(path):
            raise StorageError(f"{path!r} is not a plain path relative to the output")
        return join(self._root, path)

    def _put(self, target: str, data: bytes) -> None:
        if not is_local(self._fs):
            put_file(self._fs, target, data)
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
        with storage_errors(what):
            try:
                retrying(lambda: self._fs.info(target), what=what)
            except FileNotFoundError:
                return False
        return True

    def _write_record(self, path: str, record: Record) -> FileRecord:
        return self.write_bytes(path, record.model_dump_json(indent=1).encode())

    def _read_record(self, path: str, kind: type[R]) -> R:
        try:
            return kind.model_validate_json(self.read_bytes(path))
        except ValidationError as error:
            raise StorageError(
                f"{display_url(join(self.url, path))}: it is not a valid {kind.__name__} ({in_a_line(error)}); it is "
                f"damaged, or was written by another version: {_REMEDIES[kind]}"
            ) from error


def _modified(info: dict[str, Any]) -> datetime | None:
    """When a file was written, by whichever name its filesystem has for it."""
    told = next((info[name] for name in ("LastModified", "mtime", "created") if info.get(name) is not None), None)
    if isinstance(told, (int, float)):
        return datetime.fromtimestamp(told, timezone.utc)
    if isinstance(told, datetime):
        return told if told.tzinfo else told.replace(tzinfo=timezone.utc)
    return None
