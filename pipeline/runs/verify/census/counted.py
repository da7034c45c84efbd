"""What the census knows of a recording of an input, and of the input besides its recordings."""

from __future__ import annotations

import hashlib
import lzma
import tarfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field

# From when to when a row is, in seconds; None up to the end.
Span = tuple[float, float | None]
WHOLE: Span = (0.0, None)
DAMAGE = (tarfile.TarError, OSError, EOFError, ValueError, OverflowError, zlib.error, lzma.LZMAError)


@dataclass(frozen=True)
class Counted:
    """A recording of the input: its id, what it is called, what reads it, and its labels; None where unknown.

    A segment has its times; its file is read for each. `names` are those that a table may have for it, and `whole` is
    the longest path of it.
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
        """The id of the file that it is a segment of, or its own."""
        return self.of_file or self.clip_id


@dataclass
class Census:
    """What is known of an input besides its recordings: how many `others` it has, and why some was not counted.

    With the reason come the ids under which a run has it among its errors.
    """

    others: int = 0
    uncounted: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)


def segment_id(clip_id: str, span: tuple[float, float | None]) -> str:
    """The id of a segment of a recording; the recording's own for all of it."""
    start, stop = span
    if start == 0 and stop is None:
        return clip_id
    return digest(f"{clip_id}\0{start:.6f}-{'' if stop is None else f'{stop:.6f}'}")


def digest(place: str) -> str:
    """Return the 32 hex digits that name a recording by its place in the dataset."""
    return hashlib.sha256(place.encode("utf-8", "surrogateescape")).hexdigest()[:32]
