"""Loose audio files: grouped into shards, read whole, a few ahead."""

from __future__ import annotations

import posixpath
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import BinaryIO, cast

from pipeline.audio.ranges import StoredAudio
from pipeline.inputs.metadata import parse_sidecar
from pipeline.inputs.recording import MAX_CLIP_BYTES, RawRecording, ReadFault, os_reason
from pipeline.inputs.shards import Entry, Shard, clip_id, printable, shard_id
from pipeline.inputs.suffixes import without_audio_suffix
from pipeline.storage.filesystem import is_url, open_filesystem, refuse_special, resolve
from pipeline.storage.retry import retrying
from pipeline.storage.retrying_file import RetryingFile

_AHEAD_FILES, _AHEAD_BYTES = 4, 64 << 20
# Larger files are not held, but read by ranges as they are decoded.
HELD_BYTES = 32 << 20


def loose_entries(sizes: dict[str, int], sidecars: set[str]) -> list[Entry]:
    """Return the entries for audio files, by relative path, with the JSON files that lie beside them."""
    entries = []
    for path in sorted(sizes):
        sidecar = without_audio_suffix(path) + ".json"
        entries.append(
            Entry(
                key=printable(path),
                uri=path,
                size_bytes=sizes[path],
                place=path,
                sidecar=sidecar if sidecar in sidecars else None,
            )
        )
    return entries


def group_files(entries: list[Entry], shard_bytes: int, files_per_shard: int) -> list[Shard]:
    """Group files, in order, into shards of at most `files_per_shard` files and about `shard_bytes` bytes."""
    groups: list[list[Entry]] = []
    size = 0
    for entry in entries:
        full = not groups or len(groups[-1]) >= files_per_shard or size + entry.size_bytes > shard_bytes
        if full:
            groups.append([])
            size = 0
        groups[-1].append(entry)
        size += entry.size_bytes
    return [
        Shard(
            shard_id=shard_id(group[0].place, "\0".join(entry.place for entry in group)),
            kind="files",
            uri="",
            size_bytes=sum(entry.size_bytes for entry in group),
            entries=tuple(group),
        )
        for group in groups
    ]


def read_files(
    root_url: str, shard: Shard, start: int, max_clip_bytes: int = MAX_CLIP_BYTES
) -> Iterator[RawRecording | ReadFault]:
    """Yield a shard's loose files in order, from ordinal `start`; files that cannot be read are faults."""
    waiting: deque[tuple[int, Future[RawRecording | ReadFault]]] = deque()
    todo = deque(enumerate(shard.entries[start:], start=start))
    with ThreadPoolExecutor(_AHEAD_FILES) as pool:
        try:
            while todo or waiting:
                while todo and _room(waiting, todo[0][1]):
                    ordinal, entry = todo.popleft()
                    future = pool.submit(_read_file, root_url, entry, ordinal, max_clip_bytes)
                    waiting.append((entry.size_bytes, future))
                yield waiting.popleft()[1].result()
        finally:
            # The reader was closed, or the storage has given way: what has not begun need not begin.
            for _, future in waiting:
                future.cancel()


def _room(waiting: deque[tuple[int, Future[RawRecording | ReadFault]]], entry: Entry) -> bool:
    held = sum(size for size, _ in waiting)
    return not waiting or (len(waiting) < _AHEAD_FILES and held + entry.size_bytes <= _AHEAD_BYTES)


def _read_file(root_url: str, entry: Entry, ordinal: int, max_clip_bytes: int) -> RawRecording | ReadFault:
    identity = clip_id(entry.place)
    try:
        size = entry.size_bytes or _size(resolve(root_url, entry.uri), entry.key)
        if size > min(HELD_BYTES, max_clip_bytes):
            data: bytes | StoredAudio = StoredFile(resolve(root_url, entry.uri), entry.key, size)
        else:
            data = _read(resolve(root_url, entry.uri), entry.key)
    except OSError as error:
        reason, words = os_reason(error)
        return ReadFault(ordinal, identity, entry.key, reason, f"{entry.key}: {words}", entry.size_bytes)
    except ValueError as error:
        # A manifest may name what no file can be called.
        message = f"{entry.key}: no file has such a name ({error})"
        return ReadFault(ordinal, identity, entry.key, "missing", message, entry.size_bytes)
    metadata = dict(entry.metadata)
    if entry.sidecar is not None:
        name = posixpath.basename(printable(entry.sidecar))
        try:
            metadata |= parse_sidecar(_read(resolve(root_url, entry.sidecar), name), name)
        except OSError as error:
            metadata["metadata_error"] = f"{name}: {os_reason(error)[1]}"
    return RawRecording(ordinal, identity, entry.key, _file_name(entry), data, metadata)


def _read(url: str, shown: str) -> bytes:
    fs, path = open_filesystem(url)
    refuse_special(fs, path)
    return bytes(retrying(lambda: fs.cat_file(path), what=f"reading {shown}"))


@dataclass(frozen=True)
class StoredFile:
    """A file too large to be held: opened where it is decoded, and read by ranges."""

    url: str
    shown: str
    size_bytes: int

    def open(self) -> BinaryIO:
        """Open it; its reads are retried."""
        fs, path = open_filesystem(self.url)
        return cast(BinaryIO, RetryingFile(fs, path, f"reading {self.shown}"))


def _size(url: str, shown: str) -> int:
    fs, path = open_filesystem(url)
    return int(retrying(lambda: fs.size(path), what=f"reading {shown}") or 0)


def _file_name(entry: Entry) -> str:
    path = entry.uri.partition("?")[0] if is_url(entry.uri) else entry.uri
    return printable(posixpath.basename(path))
