"""What one task reads, and the names that stay the same in every run over the same input."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, Literal

ShardKind = Literal["files", "tar", "parquet"]


# Shared by the entries without metadata, of which there may be millions; nobody writes to it.
_NOTHING: dict[str, Any] = {}


@dataclass(frozen=True, slots=True)
class Entry:
    """One loose file: its key, its URI (relative to the input root, or absolute), and what is known of it.

    `place` is what `clip_id` is made of; `sidecar` the URI of a JSON file whose contents are metadata.
    """

    key: str
    uri: str
    size_bytes: int
    metadata: dict[str, Any] = field(default_factory=lambda: _NOTHING)
    place: str = ""
    sidecar: str | None = None


@dataclass(frozen=True)
class Shard:
    """A tar, a range of rows of a Parquet file, or a run of loose files; `uri` is relative to the input root.

    `entries` is used by "files" only, `row_start` and `row_stop` by "parquet" only.
    """

    shard_id: str
    kind: ShardKind
    uri: str
    size_bytes: int
    entries: tuple[Entry, ...] = ()
    row_start: int = 0
    row_stop: int = 0


def clip_id(place: str) -> str:
    """Return the 32 hex digits that name a recording by its place in the dataset.

    The place is the path relative to the input root for a loose file, `path + "\\0" + key` in a tar,
    `path + "\\0" + row` in a Parquet file, and the URI as written in a manifest.
    """
    return hashlib.sha256(place_bytes(place)).hexdigest()[:32]


def window_id(clip_id: str, index: int) -> str:
    """Return the name of a recording's window, safe in a path: the recording's id and the window's number."""
    return f"{clip_id}-{index:05d}"


def shard_id(path: str, place: str) -> str:
    """Return a shard's name, safe as a file name: the slug of the path's stem, and a digest of its place."""
    plain = unicodedata.normalize("NFKD", PurePosixPath(path).stem).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9]+", "-", plain)[:40].strip("-") or "shard"
    return f"{slug}-{hashlib.sha256(place_bytes(place)).hexdigest()[:10]}"


def place_bytes(place: str) -> bytes:
    """Return a place as bytes: file names that are not UTF-8 give back the bytes that they have on disk."""
    try:
        return place.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return place.encode("utf-8", "surrogatepass")


def printable(name: str) -> str:
    """Return a name as valid Unicode, as tables and JSON need it; bytes that are not UTF-8 become U+FFFD."""
    shown = place_bytes(name).decode("utf-8", "replace")
    return name if shown == name else shown
