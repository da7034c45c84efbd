"""A file in storage, or a member of an archive there, that is too large to be held in memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import BinaryIO, cast

from pipeline.audio.ranges import ranged_file, read_range
from pipeline.storage.filesystem import open_filesystem
from pipeline.storage.retrying_file import RetryingFile

# Larger files are not held, but read by ranges as they are decoded.
HELD_BYTES = 32 << 20


@dataclass(frozen=True)
class StoredFile:
    """The `size_bytes` from `offset` on of a file at a URL: opened where it is decoded, and read by ranges."""

    url: str
    shown: str
    size_bytes: int
    offset: int = 0

    def open(self) -> BinaryIO:
        """Open it; its reads are retried."""
        fs, path = open_filesystem(self.url)
        file = cast(BinaryIO, RetryingFile(fs, path, f"reading {self.shown}"))
        if not self.offset:
            return file
        return ranged_file(self.size_bytes, lambda at, size: read_range(file, self.offset + at, size))
