"""A folder of files at a local path or any fsspec URL; writes are atomic, and durable once they return."""

from __future__ import annotations

import hashlib
import os
import uuid
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from itertools import islice
from typing import Any

from fsspec.asyn import AsyncFileSystem

from pipeline.storage.errors import StorageError, storage_errors
from pipeline.storage.filesystem import (
    display_url,
    is_local,
    is_pattern,
    is_plain,
    is_url,
    join,
    open_filesystem,
    put_file,
)
from pipeline.storage.retry import retrying
from schemas.records import FileRecord, TableName

# Files that are read, or deleted, at once: a bulk delete of S3 takes 1,000 names.
READ_AT_ONCE, DELETE_AT_ONCE = 256, 1000
_THREADS = 16


@dataclass(frozen=True)
class StoredFile:
    """A file as the storage lists it; `modified` is when it was written, None where the storage does not say."""

    path: str
    bytes: int
    modified: datetime | None


class FileStore:
    """Files below a root; paths are relative to it, with `/`. A file appears under its name only when complete."""

    def __init__(self, url: str) -> None:
        self._fs, self._root = open_filesystem(url)
        self.url = url.rstrip("/") if is_url(url) else self._root

    def write_bytes(
        self, path: str, data: bytes, table: TableName | None = None, rows: int | None = None
    ) -> FileRecord:
        """Write a file, replacing one of the same name.

        On this machine's disk the file and its folder are flushed before this returns, so that a record written
        afterwards never names a file that a power cut destroys.
        Raises StorageError when the path leaves the root, or the storage refuses or cannot be reached.
        """
        target, what = self._path(path), f"writing {display_url(join(self.url, path))}"
        with storage_errors(what):
            retrying(lambda: self._put(target, data), what=what)
        return FileRecord(path=path, bytes=len(data), sha256=hashlib.sha256(data).hexdigest(), table=table, rows=rows)

    def read_bytes(self, path: str) -> bytes:
        """Read a file; raises StorageError when it is missing or out of reach."""
        target, what = self._path(path), f"reading {display_url(join(self.url, path))}"
        with storage_errors(what):
            return bytes(retrying(lambda: self._fs.cat_file(target), what=what))

    def read_many(self, paths: Iterable[str]) -> Iterator[bytes]:
        """Read small files in the order given, many at a time; only those are held in memory.

        Raises StorageError when one is missing or out of reach.
        """
        left = iter(paths)
        with ThreadPoolExecutor(_THREADS) as pool:
            while chunk := list(islice(left, READ_AT_ONCE)):
                yield from pool.map(self.read_bytes, chunk)

    def stored(self, folder: str = "", deep: bool = True) -> list[StoredFile]:
        """Return the files in a folder, with all below it if `deep`, sorted by path; none if there is no folder."""
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
        """Delete files, a thousand per request if the storage can; a file that is gone already is no error."""
        left = iter([file.path for file in files])
        while chunk := list(islice(left, DELETE_AT_ONCE)):
            self._delete(chunk)

    def drop_empty_folder(self, folder: str) -> None:
        """Remove an empty folder from this machine's disk; elsewhere a folder exists only through its files."""
        path = self._path(folder)
        if is_local(self._fs) and os.path.isdir(path) and not os.listdir(path):
            with storage_errors(f"removing {path}"):
                os.rmdir(path)

    def exists(self, path: str) -> bool:
        """Return True when the file is there; raises StorageError when the storage is out of reach."""
        target, what = self._path(path), f"looking for {display_url(join(self.url, path))}"
        with storage_errors(what):
            try:
                retrying(lambda: self._fs.info(target), what=what)
            except FileNotFoundError:
                return False
        return True

    def _path(self, path: str) -> str:
        if not is_plain(path):
            raise StorageError(f"{path!r} is not a plain path relative to the output")
        return join(self._root, path)

    def _put(self, target: str, data: bytes) -> None:
        if not is_local(self._fs):
            put_file(self._fs, target, data)
            return
        folder = os.path.dirname(target)
        _make_durable_folder(folder)
        temporary = os.path.join(folder, f".{uuid.uuid4().hex}.tmp")
        try:
            with open(temporary, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, target)
        except BaseException:
            if os.path.exists(temporary):
                os.remove(temporary)
            raise
        _flush_folder(folder)

    def _delete(self, paths: Sequence[str]) -> None:
        targets = [join(self._root, path) for path in paths]
        what = f"deleting {len(paths)} files of {display_url(self.url)}, {paths[0]} for one"
        with storage_errors(what):
            # S3 deletes a list in one request; but fsspec would treat a name with glob characters as a pattern.
            if isinstance(self._fs, AsyncFileSystem) and not any(is_pattern(target) for target in targets):
                with suppress(FileNotFoundError):
                    retrying(lambda: self._fs.rm(targets), what=what)
                    return
            with ThreadPoolExecutor(_THREADS) as pool:
                list(pool.map(lambda target: retrying(lambda: self._delete_one(target), what=what), targets))

    def _delete_one(self, target: str) -> None:
        try:
            self._fs.rm_file(target)
        except FileNotFoundError:
            return


def _make_durable_folder(folder: str) -> None:
    """Make a folder, and the folders above it, so that they survive a power cut."""
    if os.path.isdir(folder):
        return
    above = os.path.dirname(folder)
    _make_durable_folder(above)
    os.makedirs(folder, exist_ok=True)
    _flush_folder(above)


def _flush_folder(folder: str) -> None:
    if os.name != "posix":
        return  # elsewhere folders cannot be opened, and need not be
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _modified(info: dict[str, Any]) -> datetime | None:
    """Return when a file was written, under whichever name its filesystem has for that."""
    told = next((info[name] for name in ("LastModified", "mtime", "created") if info.get(name) is not None), None)
    if isinstance(told, (int, float)):
        return datetime.fromtimestamp(told, timezone.utc)
    if isinstance(told, datetime):
        return told if told.tzinfo else told.replace(tzinfo=timezone.utc)
    return None
