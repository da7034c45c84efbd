"""Shards, which are what one task reads, and names that stay the same in every run over the same input."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Container
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, Literal

from pipeline.inputs.recording import Segment
from schemas.draws import rank_of
from schemas.input_config import InputConfig

ShardKind = Literal["files", "tar", "parquet"]

# The kind under which recordings that a sample leaves out are counted.
NOT_DRAWN = "not drawn"

# Shared by the entries without metadata, of which there may be millions; nobody writes to it.
_NOTHING: dict[str, Any] = {}
_PLAIN = InputConfig()


@dataclass(frozen=True, slots=True)
class Entry:
    """One loose file: its key, its URI (relative to the input root, or absolute), and what is known about it.

    `clip_id` is made from `place`; `sidecars` are URIs of files about it, whose contents become metadata, and
    `segments` are those that a table names, none for the whole recording. If a table has `named` it, its URI may be
    spelt differently from the file; if a table has `described` it, its label comes from there or it has none, and never
    from its folder's name.
    """

    key: str
    uri: str
    size_bytes: int
    metadata: dict[str, Any] = field(default_factory=lambda: _NOTHING)
    place: str = ""
    sidecars: tuple[str, ...] = ()
    segments: tuple[Segment, ...] = ()
    named: bool = False
    described: bool = False


@dataclass(frozen=True)
class Shard:
    """A tar, a range of rows of a Parquet file, or a run of loose files; `uri` is relative to the input root.

    `entries` is used by "files" only, `row_start`, `row_stop` and `audio_column` by "parquet" only; `reading` says how
    the tables in it are read. With a sample, only recordings whose rank is below `rank_limit` are read.
    """

    shard_id: str
    kind: ShardKind
    uri: str
    size_bytes: int
    entries: tuple[Entry, ...] = ()
    row_start: int = 0
    row_stop: int = 0
    audio_column: str | None = None
    reading: InputConfig = _PLAIN
    rank_limit: int | None = None

    def draws(self, identity: str) -> bool:
        """Whether the recording with this `clip_id` is read."""
        return self.rank_limit is None or rank_of(identity) < self.rank_limit


def clip_id(place: str) -> str:
    """Return the 32 hex digits that name a recording by its place in the dataset.

    The place is the path relative to the input root for a loose file, `path + "\\0" + key` in a tar,
    `path + "\\0" + row` in a Parquet file, and the URI as written in a manifest.
    """
    return hashlib.sha256(place_bytes(place)).hexdigest()[:32]


def segment_id(identity: str, start_s: float, stop_s: float | None) -> str:
    """Return the id of a segment: a digest of its recording's `clip_id` and its times, to the microsecond.

    A segment that is the whole recording has the recording's own id.
    """
    if start_s == 0 and stop_s is None:
        return identity
    return clip_id(f"{identity}\0{start_s:.6f}-{'' if stop_s is None else f'{stop_s:.6f}'}")


def window_id(clip_id: str, index: int) -> str:
    """Return the name of a recording's window, safe in a path: the recording's id and the window's number."""
    return f"{clip_id}-{index:05d}"


def shard_id(path: str, place: str) -> str:
    """Return a shard's name, safe as a file name: the slug of the path's stem, and a digest of its place."""
    plain = unicodedata.normalize("NFKD", PurePosixPath(path).stem).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9]+", "-", plain)[:40].strip("-") or "shard"
    return f"{slug}-{hashlib.sha256(place_bytes(place)).hexdigest()[:10]}"


def place_bytes(place: str) -> bytes:
    """Return a place as bytes; for file names that are not UTF-8, the bytes that they have on disk."""
    try:
        return place.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return place.encode("utf-8", "surrogatepass")


def printable(name: str) -> str:
    """Return a name as valid Unicode, as tables and JSON need it; bytes that are not UTF-8 become U+FFFD."""
    shown = place_bytes(name).decode("utf-8", "replace")
    return name if shown == name else shown


def unused_name(name: str, taken: Container[str]) -> str:
    """Return a name, numbered from 2 on if it is taken.

    >>> unused_name("a", {"a", "a#2"})
    'a#3'
    """
    key, copies = name, 1
    while key in taken:
        copies += 1
        key = f"{name}#{copies}"
    return key
