"""Files that are not held in memory, but read by ranges, in this process or over a pipe from another."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any, BinaryIO, Protocol, cast

_BUFFER_BYTES = 1 << 18
_FARTHEST = 1 << 62


class StoredAudio(Protocol):
    """An audio file of known size that is opened where it is decoded."""

    @property
    def size_bytes(self) -> int:
        """Its size."""

    def open(self) -> BinaryIO:
        """Open it for reading and seeking; raises OSError or StorageError if that fails."""


def opened_audio(source: bytes | StoredAudio) -> BinaryIO:
    """Open a file in memory or in storage for reading and seeking."""
    return io.BytesIO(source) if isinstance(source, bytes) else source.open()


def read_range(file: BinaryIO, offset: int, size: int) -> bytes:
    """Return the bytes of a range of a file, fewer only at its end."""
    file.seek(offset)
    chunks, left = [], size
    while left and (chunk := file.read(left)):
        chunks.append(chunk)
        left -= len(chunk)
    return b"".join(chunks)


def ranged_file(size: int, fetch: Callable[[int, int], bytes]) -> BinaryIO:
    """Open a file of `size` bytes for reading and seeking; `fetch` returns its bytes by offset and size."""
    return cast(BinaryIO, io.BufferedReader(_Ranges(size, fetch), _BUFFER_BYTES))


class _Ranges(io.RawIOBase):
    def __init__(self, size: int, fetch: Callable[[int, int], bytes]) -> None:
        super().__init__()
        self._size, self._fetch, self._at = size, fetch, 0

    def readinto(self, buffer: Any, /) -> int:
        n = max(0, min(len(buffer), self._size - self._at))
        data = self._fetch(self._at, n) if n else b""
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        # An offset from a header may be larger than a file position can be.
        self._at = min(max(0, at), _FARTHEST)
        return self._at

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True
