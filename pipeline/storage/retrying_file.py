"""A file whose reads survive a storage outage."""

from __future__ import annotations

import io
from typing import Any

from fsspec import AbstractFileSystem

from pipeline.storage.filesystem import refuse_special
from pipeline.storage.retry import retrying

_BLOCK_BYTES = 8 << 20


class RetryingFile(io.RawIOBase):
    """A remote file, opened for reading, whose opening, reads and seeks are each retried.

    An fsspec file moves its position only after a read has succeeded, so the same read can be done again.
    """

    def __init__(self, fs: AbstractFileSystem, path: str, what: str) -> None:
        super().__init__()
        self._what = what
        refuse_special(fs, path)
        self._file: Any = retrying(lambda: fs.open(path, "rb", block_size=_BLOCK_BYTES), what=what)

    def read(self, size: int = -1, /) -> bytes:
        """Read up to `size` bytes, or all; raises StorageError when the outage outlasts the retries."""
        return bytes(retrying(lambda: self._file.read(size), what=self._what))

    def readinto(self, buffer: Any, /) -> int:
        """Read into `buffer`; return the number of bytes read."""
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Move to `offset`; return the new position."""
        return int(self._file.seek(offset, whence))

    def tell(self) -> int:
        """Return the position in bytes."""
        return int(self._file.tell())

    def readable(self) -> bool:
        """Return True: the file is open for reading."""
        return True

    def seekable(self) -> bool:
        """Return True: fsspec files for reading can seek."""
        return True

    def close(self) -> None:
        """Close the remote file too."""
        if not self.closed:
            self._file.close()
        super().close()
