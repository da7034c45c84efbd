"""A disk that is too small, and grows."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class NoSmallDiskError(Exception):
    """A small disk cannot be made here."""


class SmallDisk:
    """A filesystem in memory of so many bytes, mounted at a folder."""

    def __init__(self, folder: Path, size_bytes: int) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._mount(f"size={size_bytes}")

    def grow(self, size_bytes: int) -> None:
        """Make room."""
        self._mount(f"remount,size={size_bytes}")

    def remove(self) -> None:
        """Take it away, with all that is on it."""
        subprocess.run(["umount", "--lazy", str(self.folder)], check=True)

    def _mount(self, options: str) -> None:
        command = ["mount", "-t", "tmpfs", "-o", options, "lmac-faults", str(self.folder)]
        try:
            done = subprocess.run(command, capture_output=True, text=True)
        except FileNotFoundError as error:
            raise NoSmallDiskError(f"no disk can be mounted here: {error}") from None
        if done.returncode:
            raise NoSmallDiskError(f"no disk can be mounted here, which takes root: {done.stderr.strip()}")


@contextmanager
def small_disk(folder: Path, size_bytes: int) -> Iterator[SmallDisk]:
    """A small disk at a folder, while the block lasts; raises NoSmallDiskError where that is not allowed."""
    disk = SmallDisk(folder, size_bytes)
    try:
        yield disk
    finally:
        disk.remove()
