"""What the census knows about a recording of an input, and about the input besides its recordings."""

from __future__ import annotations

import hashlib
import lzma
import tarfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field

# The start and end of a row in seconds; an end of None is that of the recording.
Span = tuple[float, float | None]
WHOLE: Span = (0.0, None)
DAMAGE = (tarfile.TarError, OSError, EOFError, ValueError, OverflowError, zlib.error, lzma.LZMAError)


@dataclass(frozen=True)
class Counted:
    """A recording of the input: its id, its name, a function that reads it, and its labels; None if unknown.

    A segment has a `span`; its file is read for each segment. `names` are those that a table may use for it, and
    `whole` is its longest path.
    """

    clip_id: str
    name: str
    read: Callable[[], bytes]
    labels: tuple[str, ...] | None = None
    span: tuple[float, float | None] = (0.0, None)
    of_file: str = ""
    names: tuple[str, ...] = ()
    whole: str = ""

    @property
    def file_id(self) -> str:
        """The id of the file of which it is a segment, or its own."""
        return self.of_file or self.clip_id


@dataclass
class Census:
    """What is known about an input besides its recordings: the number of `others`, and what was not counted and why.

    Each reason comes with the ids under which a run has it among its errors.
    """

    others: int = 0
    uncounted: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)


def segment_id(clip_id: str, span: tuple[float, float | None]) -> str:
    """Return the id of a segment of a recording; for all of it, the recording's own."""
    start, stop = span
    if start == 0 and stop is None:
        return clip_id
    return digest(f"{clip_id}\0{start:.6f}-{'' if stop is None else f'{stop:.6f}'}")


def digest(place: str) -> str:
    """Return the 32 hex digits that name a recording by its place in the dataset."""
    return hashlib.sha256(place.encode("utf-8", "surrogateescape")).hexdigest()[:32]
