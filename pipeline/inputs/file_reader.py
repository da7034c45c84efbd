"""Loose audio files: grouped into shards, and read whole with a small prefetch."""

from __future__ import annotations

import posixpath
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace

from pipeline.audio.ranges import StoredAudio
from pipeline.inputs.metadata import parse_sidecar
from pipeline.inputs.recording import MAX_CLIP_BYTES, RawRecording, ReadFault, ReadReason, os_reason
from pipeline.inputs.shards import Entry, Shard, clip_id, printable, shard_id
from pipeline.inputs.spelling import spellings
from pipeline.inputs.stored_file import HELD_BYTES, StoredFile
from pipeline.inputs.suffixes import sidecar_of, stem_of
from pipeline.storage.filesystem import display_url, is_url, open_filesystem, refuse_special, resolve
from pipeline.storage.retry import retrying

_AHEAD_FILES, _AHEAD_BYTES = 4, 64 << 20


def loose_entries(audio: dict[str, int], others: Iterable[str]) -> list[Entry]:
    """Return the entries for audio files, given by path and size, with those of `others` that are their sidecars."""
    about: dict[str, list[str]] = defaultdict(list)
    for path in sorted(others):
        if (name := sidecar_of(path)) is not None:
            about[name].append(path)
    entries = []
    for path in sorted(audio):
        stem = stem_of(path)
        sidecars = (*about.get(stem, ()), *(about.get(path, ()) if path != stem else ()))
        entries.append(Entry(printable(path), path, audio[path], place=path, sidecars=sidecars))
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
    root_url: str,
    shard: Shard,
    start: int = 0,
    max_clip_bytes: int = MAX_CLIP_BYTES,
    want: Callable[[str], bool] | None = None,
) -> Iterator[RawRecording | ReadFault]:
    """Yield a shard's loose files in order, from ordinal `start`; files that cannot be read are faults.

    Only those whose `clip_id` `want` accepts are read.
    """
    waiting: deque[tuple[int, Future[RawRecording | ReadFault]]] = deque()
    numbered = enumerate(shard.entries[start:], start=start)
    todo = deque((number, entry) for number, entry in numbered if want is None or want(clip_id(entry.place)))
    with ThreadPoolExecutor(_AHEAD_FILES) as pool:
        try:
            while todo or waiting:
                while todo and _room(waiting, todo[0][1]):
                    ordinal, entry = todo.popleft()
                    future = pool.submit(_read_file, root_url, entry, ordinal, max_clip_bytes)
                    waiting.append((entry.size_bytes, future))
                yield waiting.popleft()[1].result()
        finally:
            # The reader was closed, or the storage failed: what has not begun need not begin.
            for _, future in waiting:
                future.cancel()


def _room(waiting: deque[tuple[int, Future[RawRecording | ReadFault]]], entry: Entry) -> bool:
    held = sum(size for size, _ in waiting)
    return not waiting or (len(waiting) < _AHEAD_FILES and held + entry.size_bytes <= _AHEAD_BYTES)


def _read_file(root_url: str, entry: Entry, ordinal: int, max_clip_bytes: int) -> RawRecording | ReadFault:
    identity = clip_id(entry.place)

    def fault(reason: ReadReason, words: str, size: int) -> ReadFault:
        return ReadFault(ordinal, identity, entry.key, reason, f"{entry.key}: {words}", size, entry.segments)

    try:
        data = _first_there(root_url, entry, max_clip_bytes)
    except OSError as error:
        reason, words = os_reason(error)
        if reason == "missing" and entry.named and not is_url(entry.uri) and not entry.uri.startswith("/"):
            windows = "it is a path of Windows: write it relative to the table, with /"
            words += "; " + (windows if "\\" in entry.uri else "paths in a table count from the table's own folder")
        return fault(reason, words, entry.size_bytes)
    except ValueError as error:
        # A manifest may have names that no file can have.
        return fault("missing", f"no file has such a name ({error})", entry.size_bytes)
    metadata = dict(entry.metadata)
    for sidecar in entry.sidecars:
        name = posixpath.basename(printable(sidecar))
        try:
            metadata |= parse_sidecar(_read(resolve(root_url, sidecar), name), name)
        except OSError as error:
            metadata["metadata_error"] = f"{name}: {os_reason(error)[1]}"
    return replace(unread_recording(entry), ordinal=ordinal, data=data, metadata=metadata)


def unread_recording(entry: Entry) -> RawRecording:
    """Return what is known about a file's recording before anything is read, without its data."""
    folder = "" if entry.described else posixpath.basename(posixpath.dirname(entry.key))
    identity, metadata = clip_id(entry.place), dict(entry.metadata)
    return RawRecording(0, identity, entry.key, _file_name(entry), b"", metadata, entry.segments, folder)


def _first_there(root_url: str, entry: Entry, max_clip_bytes: int) -> bytes | StoredAudio:
    """Return a file's contents or, if they are too large to hold, an object that opens it; a table may spell its name
    in other ways."""
    spelt = spellings(entry.uri) if entry.named and not is_url(entry.uri) else (entry.uri,)
    for uri in spelt:
        url = resolve(root_url, uri)
        try:
            size = entry.size_bytes or _size(url, entry.key)
            return StoredFile(url, entry.key, size) if size > min(HELD_BYTES, max_clip_bytes) else _read(url, entry.key)
        except FileNotFoundError:
            if uri == spelt[-1]:
                raise
    raise AssertionError("a name has at least one spelling")


def _read(url: str, shown: str) -> bytes:
    fs, path = open_filesystem(url)
    refuse_special(fs, path)
    return bytes(retrying(lambda: fs.cat_file(path), what=f"reading {shown}"))


def _size(url: str, shown: str) -> int:
    fs, path = open_filesystem(url)
    return int(retrying(lambda: fs.size(path), what=f"reading {shown}") or 0)


def _file_name(entry: Entry) -> str:
    return printable(posixpath.basename(display_url(entry.uri) if is_url(entry.uri) else entry.uri))
