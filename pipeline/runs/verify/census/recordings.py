"""List the recordings of an input with plain readers, independent of those that made the run."""

from __future__ import annotations

import csv
import os
import posixpath
import tarfile
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq
from fsspec import AbstractFileSystem

from pipeline.inputs.suffixes import AUDIO_SUFFIXES
from pipeline.inputs.table_columns import URI_COLUMNS
from pipeline.runs.verify.census.counted import DAMAGE, Census, Counted, digest
from pipeline.runs.verify.census.folder_tables import FOLDER_TABLES, described_by_tables, with_rows
from pipeline.runs.verify.census.meaning import spanned
from pipeline.runs.verify.census.parquet import parquet_recordings, sound_column
from pipeline.runs.verify.census.rows import TABLES, rows_of
from pipeline.runs.verify.census.tars import SIDECARS, SILENT, said_by, tar_recordings
from pipeline.storage.filesystem import GLOB, is_local, is_url, open_filesystem, refuse_special
from schemas.input_config import InputConfig

_TARS = (".tar.zst", ".tzst", ".tar", ".tgz", ".tbz", ".tbz2", ".txz", ".tar.gz", ".tar.bz2", ".tar.xz")

_KNOWN = frozenset({*AUDIO_SUFFIXES, *SILENT, ".parquet"})


def recordings_in(
    url: str, reading: InputConfig, census: Census, is_sound: Callable[[bytes], bool]
) -> Iterator[Counted]:
    """Yield the recordings of an input: audio files, members of tars, rows of Parquet and of manifests.

    If the suffix of a file says nothing, `is_sound` decides by its contents whether it is a recording.
    """
    fs, path = open_filesystem(url)
    if fs.isfile(path) and (url.lower().endswith(TABLES) or _is_table_of_names(fs, path, reading)):
        try:
            yield from _manifest(url, reading)
        except (*DAMAGE, pa.ArrowException, csv.Error) as error:
            census.uncounted.append((f"{posixpath.basename(path)}: {error}", ()))
        return
    files = sorted(_files(url))
    there = {relative for _, relative in files}
    tables = {
        relative: bytes(fs.cat_file(f"{root}/{relative}"))
        for root, relative in files
        if posixpath.basename(relative).lower() in FOLDER_TABLES
    }
    described = described_by_tables(tables, reading, census)
    for root, relative in files:
        full = f"{root}/{relative}"
        suffix = os.path.splitext(relative.lower())[1]

        def read(full: str = full) -> bytes:
            return bytes(fs.cat_file(full))

        if any(part.startswith(".") for part in relative.split("/")):
            census.others += 1
        elif _is_special(fs, full):
            if suffix in AUDIO_SUFFIXES:
                yield Counted(digest(relative), relative, bytes, names=(relative,), whole=full)
            census.others += suffix not in (*AUDIO_SUFFIXES, *_TARS, ".parquet")
        elif relative.lower().endswith(_TARS) or (suffix not in _KNOWN and _begins_as(fs, full, tarfile.is_tarfile)):
            with fs.open(full, "rb") as stream:
                for one in tar_recordings(relative, stream, reading, census, is_sound):
                    yield _of_archive(one, relative, root)
        elif suffix == ".parquet" or (suffix not in _KNOWN and _begins_as(fs, full, _is_parquet)):
            with fs.open(full, "rb") as stream:
                for one in parquet_recordings(relative, stream, reading, census, partial(_beside, fs, root, full)):
                    yield _of_archive(one, relative, root)
        elif suffix in AUDIO_SUFFIXES or (suffix not in SILENT and is_sound(read())):
            stem = os.path.splitext(relative)[0]
            said: dict[str, Any] = {}
            for about in (about for about in SIDECARS if stem + about in there):
                said |= said_by(bytes(fs.cat_file(f"{root}/{stem}{about}")), about)
            one = Counted(digest(relative), relative, read, None, names=(relative,), whole=full)
            yield from with_rows(one, described, said, reading)
        elif suffix not in SIDECARS:
            census.others += 1


def _begins_as(fs: AbstractFileSystem, path: str, what: Callable[[IO[bytes]], bool]) -> bool:
    """Whether a file with an unknown suffix is an archive of this kind, by its first bytes."""
    try:
        with fs.open(path, "rb") as stream:
            return what(stream)
    except DAMAGE:
        return False


def _is_parquet(stream: IO[bytes]) -> bool:
    return stream.read(4) == b"PAR1"


def _of_archive(one: Counted, relative: str, root: str) -> Counted:
    """Return a recording of an archive, adding the name that it would have if the archive were unpacked."""
    suffix = next((suffix for suffix in _TARS if relative.lower().endswith(suffix)), ".parquet")
    inside = f"{relative[: -len(suffix)]}/{one.whole}"
    return replace(one, names=(*one.names, inside), whole=f"{root}/{inside}")


def _is_table_of_names(fs: AbstractFileSystem, path: str, reading: InputConfig) -> bool:
    """Whether it is a Parquet file without sound, which may name files that have sound."""
    if not path.lower().endswith(".parquet") or _is_special(fs, path):
        return False
    try:
        with fs.open(path, "rb") as stream:
            return sound_column(pq.read_schema(stream), reading) is None
    except (pa.ArrowException, OSError):
        return False


def _beside(fs: AbstractFileSystem, root: str, table: str, path: str) -> bytes:
    """Return the file at a path relative to a table's folder, else to the input; empty if it leads out of them."""
    if posixpath.normpath(path).startswith(("/", "..")):
        return b""
    for folder in (posixpath.dirname(table), root):
        if fs.isfile(place := posixpath.normpath(posixpath.join(folder, path))):
            return bytes(fs.cat_file(place))
    return b""


def _is_special(fs: AbstractFileSystem, path: str) -> bool:
    """Whether it is a pipe, a socket or a device, on which reading would block."""
    try:
        refuse_special(fs, path)
    except OSError:
        return True
    return False


def _files(url: str) -> Iterator[tuple[str, str]]:
    """Yield the root and the relative path of every file below a folder, or of the one file."""
    fs, path = open_filesystem(url)
    magic = GLOB.search(path)
    if magic and not fs.exists(path):
        root = path[: magic.start()].rpartition("/")[0]
        for match in fs.glob(path):
            for folder, name in _files(match) if is_local(fs) else [match.rsplit("/", 1)]:
                yield root, f"{folder}/{name}"[len(root) + 1 :]
    elif fs.isfile(path) and not (is_local(fs) and os.path.isdir(path)):
        yield tuple(path.rsplit("/", 1))  # type: ignore[misc]
    elif is_local(fs):
        seen: dict[str, set[str]] = {path: {os.path.realpath(path)}}
        for folder, folders, names in os.walk(path, followlinks=True):
            above = seen.pop(folder)
            for one in list(folders):
                real = os.path.realpath(os.path.join(folder, one))
                if real in above:
                    folders.remove(one)
                else:
                    seen[os.path.join(folder, one)] = above | {real}
            yield from ((path, os.path.relpath(os.path.join(folder, name), path)) for name in names)
    else:
        yield from ((path, name[len(path) + 1 :]) for name in fs.find(path))


def _manifest(url: str, reading: InputConfig) -> Iterator[Counted]:
    fs, path = open_filesystem(url)
    folder = posixpath.dirname(path)
    rows = list(rows_of(url, reading))
    columns = {name.lower(): name for row in rows for name in row}
    wanted = [reading.uri_column.lower()] if reading.uri_column else list(URI_COLUMNS)
    column = next((columns[name] for name in wanted if name in columns), "")
    found: dict[tuple[str, tuple[float, float | None]], Counted] = {}
    written: dict[str, str] = {}
    for said in rows if column else ():
        cell = said.pop(column)
        uri = str(cell.get("path") if isinstance(cell, dict) else cell)
        place = (
            open_filesystem(uri)[1]
            if is_url(uri)
            else posixpath.normpath(posixpath.join(folder, uri.replace("\\", "/")))
        )
        uri = written.setdefault(unicodedata.normalize("NFC", place), uri)
        full = uri if is_url(uri) or uri.startswith("/") else f"{folder}/{uri}"

        def read(full: str = full) -> bytes:
            there, place = open_filesystem(full) if is_url(full) else (fs, full)
            return bytes(there.cat_file(place))

        for one in spanned(digest(uri), uri, read, said, reading, columns.values()):
            before = found.get((uri, one.span))
            both = (*(before.labels or ()), *(one.labels or ())) if before is not None else one.labels
            labels = tuple(dict.fromkeys(both)) if both is not None else None
            found[uri, one.span] = replace(one, labels=labels, names=(uri,), whole=full)
    yield from found.values()
