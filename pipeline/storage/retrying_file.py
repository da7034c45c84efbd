"""A file whose reads survive a storage outage."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any, TypeVar

from fsspec import AbstractFileSystem

from pipeline.storage.filesystem import refuse_special
from pipeline.storage.retry import BUDGET_S, retrying

T = TypeVar("T")


class RetryingFile(io.RawIOBase):
    """A remote file, opened for reading; opening it, reads and seeks are each retried.

    An fsspec file moves its position only after a read has succeeded, so the same read can be repeated. Each read
    fetches `block_bytes` more than requested, and is retried for `budget_s` seconds.
    """

    def __init__(
        self, fs: AbstractFileSystem, path: str, what: str, *, block_bytes: int = 8 << 20, budget_s: float = BUDGET_S
    ) -> None:
        super().__init__()
        self._what, self._budget_s = what, budget_s
        refuse_special(fs, path)
        self._file: Any = self._retrying(lambda: fs.open(path, "rb", block_size=block_bytes))

    def read(self, size: int = -1, /) -> bytes:
        """Read up to `size` bytes, or all; raises StorageError when the outage outlasts the retries."""
        return bytes(self._retrying(lambda: self._file.read(size)))

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

    def _retrying(self, operation: Callable[[], T]) -> T:
        return retrying(operation, what=self._what, budget_s=self._budget_s)
