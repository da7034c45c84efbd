"""What a reader yields: a recording's bytes, or why there are none."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

MAX_CLIP_BYTES = 1 << 30

ReadReason = Literal[
    "missing", "unreadable", "too_large", "null_audio", "no_audio", "shard_truncated", "shard_unreadable"
]


@dataclass(frozen=True)
class Segment:
    """A part of a recording in seconds from the file's beginning, to its end where `stop_s` is None.

    It counts as a recording of its own: `clip_id` is made of its place and its times, and `metadata` is laid over that
    of its recording.
    """

    clip_id: str
    start_s: float
    stop_s: float | None
    metadata: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class RawRecording:
    """A recording as it lies in storage, not yet decoded.

    `ordinal` counts recordings and faults in the shard's fixed reading order; `name` is the file's own name. Where
    there are `segments`, they are explained, in any order and overlapping as they may be; else the whole recording is.
    """

    ordinal: int
    clip_id: str
    key: str
    name: str
    data: bytes
    metadata: dict[str, Any] = field(default_factory=dict)
    segments: tuple[Segment, ...] = ()


@dataclass(frozen=True)
class ReadFault:
    """A recording, or the rest of a shard, that could not be read; it takes one ordinal as a recording does."""

    ordinal: int
    clip_id: str
    key: str
    reason: ReadReason
    message: str
    size_bytes: int


def os_reason(error: OSError) -> tuple[ReadReason, str]:
    """Return the reason and words for an error that retrying cannot mend; without paths of this machine."""
    if isinstance(error, FileNotFoundError):
        return "missing", "it does not exist"
    return "unreadable", f"{type(error).__name__}: {error.strerror or error}"


def too_large(size: int, limit: int) -> str:
    """Return the words for a recording over the limit."""
    return f"it has {size} bytes, more than the {limit} that one recording may have"
