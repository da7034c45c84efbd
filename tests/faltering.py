"""A storage that fails once at each file: `faltering://` and a path of this machine."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import fsspec
from fsspec.implementations.local import LocalFileSystem

_SCHEME = "faltering"


class FalteringFileSystem(LocalFileSystem):  # type: ignore[misc]
    """The local disk, where the first opening of each file, to read or to write, ends in a lost connection."""

    protocol = _SCHEME
    opened: ClassVar[Counter[str]] = Counter()

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return str(LocalFileSystem._strip_protocol(path.removeprefix(f"{_SCHEME}://")))

    def _open(self, path: str, *args: Any, **kwargs: Any) -> Any:
        self.opened[path] += 1
        if self.opened[path] == 1:
            raise ConnectionResetError("the connection was lost")
        return super()._open(path, *args, **kwargs)


@contextmanager
def faltering_storage() -> Iterator[Counter[str]]:
    """Register the storage; what it gives counts how often each path was opened."""
    fsspec.register_implementation(_SCHEME, FalteringFileSystem, clobber=True)
    FalteringFileSystem.clear_instance_cache()
    FalteringFileSystem.opened.clear()
    yield FalteringFileSystem.opened
