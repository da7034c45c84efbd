"""What a reader yields: a recording's bytes, or why there are none."""

from __future__ import annotations

import hashlib
from collections.abc import Container
from dataclasses import dataclass, field
from typing import Any, Literal

from pipeline.audio.ranges import StoredAudio
from pipeline.audio.stream import MAX_CHANNELS

MAX_CLIP_BYTES = 1 << 30

ReadReason = Literal[
    "missing",
    "unreadable",
    "too_large",
    "null_audio",
    "no_audio",
    "bad_segment",
    "shard_truncated",
    "shard_unreadable",
]


@dataclass(frozen=True)
class Segment:
    """A part of a recording, in seconds from the file's beginning; to its end if `stop_s` is None.

    It counts as a recording of its own: `clip_id` is made from its place and its times, and `metadata` overrides that
    of its recording.
    """

    clip_id: str
    start_s: float
    stop_s: float | None
    metadata: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class RawRecording:
    """A recording as it lies in storage, not yet decoded.

    `ordinal` counts recordings and faults in the shard's fixed reading order; `name` is the file's own name; `data` its
    bytes, or an object that opens it if it is too large to hold. If there are `segments`, they are explained, and may
    overlap and come in any order; else the whole recording is. `folder` is the name of its folder if that may be its
    label, else empty.
    """

    ordinal: int
    clip_id: str
    key: str
    name: str
    data: bytes | StoredAudio
    metadata: dict[str, Any] = field(default_factory=dict)
    segments: tuple[Segment, ...] = ()
    folder: str = ""

    @property
    def size_bytes(self) -> int:
        """The size of the file in bytes."""
        return len(self.data) if isinstance(self.data, bytes) else self.data.size_bytes

    @property
    def clip_ids(self) -> list[str]:
        """The ids of what is explained: its own, or those of its segments."""
        return [segment.clip_id for segment in self.segments] or [self.clip_id]


@dataclass(frozen=True)
class ReadFault:
    """A recording, or the rest of a shard, that could not be read; it takes one ordinal as a recording does.

    If there are `segments`, each of them counts as a recording that could not be read.
    """

    ordinal: int
    clip_id: str
    key: str
    reason: ReadReason
    message: str
    size_bytes: int
    segments: tuple[Segment, ...] = ()


class FileIds(Container[str]):
    """The ids of files whose recordings are among `clip_ids`: the files' own or, with `each`, their channels' ids."""

    def __init__(self, clip_ids: Container[str], each: bool) -> None:
        self._clip_ids, self._channels = clip_ids, range(1, MAX_CHANNELS + 1) if each else ()

    def of(self, clip_id: str) -> list[str]:
        """Return those of `clip_ids` under which a run may have this recording or segment."""
        ids = [clip_id, *(channel_clip_id(clip_id, channel) for channel in self._channels)]
        return [one for one in ids if one in self._clip_ids]

    def __contains__(self, clip_id: object) -> bool:
        return bool(self.of(str(clip_id)))


def channel_clip_id(clip_id: str, channel: int) -> str:
    """Return the `clip_id` of a recording's channel, from 1 on, if each channel counts as a recording."""
    return hashlib.sha256(f"{clip_id}\0channel\0{channel}".encode()).hexdigest()[:32]


def os_reason(error: OSError) -> tuple[ReadReason, str]:
    """Return the reason and words for an error that retrying cannot fix; without paths of this machine."""
    if isinstance(error, FileNotFoundError):
        return "missing", "it does not exist"
    return "unreadable", f"{type(error).__name__}: {error.strerror or error}"


def too_large(size: int, limit: int) -> str:
    """Return the words for a recording over the limit."""
    return f"it has {size} bytes, more than the {limit} that one recording may have"
