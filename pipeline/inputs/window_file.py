"""Windows in a file, as 16-bit samples: written one by one, and read by number without all of them in memory."""

from __future__ import annotations

import errno
import hashlib
import heapq
import mmap
import os
import shutil
from array import array
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from pipeline.audio.pcm import to_pcm
from schemas.draws import rank_of
from schemas.errors import LmacError

DIGEST_BYTES = 16
_ITEM_BYTES = 2
_FIRST_ESTIMATE, _SURELY = 256 << 20, 1.5


class DiskSpaceError(LmacError):
    """The windows of an input do not fit on the disk that they are kept on."""


class MappedWindows:
    """Windows `[N, n]` int16 in a memory-mapped file; picked windows are copied, and the mapped pages released.

    Otherwise every page ever read would count as this process's memory until another process needs it.
    """

    def __init__(self, path: Path, n_windows: int, n_samples: int) -> None:
        with path.open("rb") as file:
            self._map = mmap.mmap(file.fileno(), n_windows * n_samples * _ITEM_BYTES, access=mmap.ACCESS_READ)
        self._all = np.frombuffer(self._map, "<i2").reshape(n_windows, n_samples)

    def __getitem__(self, rows: NDArray[np.int64]) -> NDArray[np.int16]:
        picked = self._all[rows]
        if hasattr(mmap, "MADV_DONTNEED"):  # not on every system
            self._map.madvise(mmap.MADV_DONTNEED)
        return picked


@dataclass
class WindowFile:
    """A file to which windows `[n_samples]` are added: all or, up to a `limit`, those whose ids are drawn first.

    A newly drawn window replaces the one that is no longer drawn, so that the file never holds more than `limit`
    windows; which ones it holds in the end depends on the ids alone. `recordings` has the number of each row's
    recording, `seen` counts the windows added. Raises DiskSpaceError when the disk is full.
    """

    path: Path
    n_samples: int
    limit: int | None = None
    recordings: array[int] = field(default_factory=lambda: array("q"))
    seen: int = 0
    _turns: array[int] = field(default_factory=lambda: array("q"))
    _digests: bytearray = field(default_factory=bytearray)
    # The highest rank first: it is the next to be replaced.
    _drawn: list[tuple[int, int]] = field(default_factory=list)

    def __enter__(self) -> WindowFile:
        self._file = self.path.open("wb", buffering=0)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._file.close()

    def __len__(self) -> int:
        return len(self.recordings)

    def add(self, window_id: str, samples: NDArray[np.float32], recording: int) -> None:
        """Write a window of a recording, by its number, unless others are drawn before it."""
        self.seen += 1
        row = self._row(window_id)
        if row is None:
            return
        data = to_pcm(samples).astype("<i2").tobytes()
        digest = hashlib.blake2b(data, digest_size=DIGEST_BYTES).digest()
        if row == len(self.recordings):
            self.recordings.append(recording)
            self._turns.append(self.seen)
            self._digests += digest
        else:
            self.recordings[row], self._turns[row] = recording, self.seen
            self._digests[row * DIGEST_BYTES : (row + 1) * DIGEST_BYTES] = digest
        self._write(row * len(data), data)

    def close(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.uint8]]:
        """Flush to disk; returns the rows `[N]` in the order in which they were added, their recordings and digests."""
        os.fsync(self._file.fileno())
        rows = np.argsort(np.array(self._turns, np.int64), kind="stable")
        digests = np.frombuffer(bytes(self._digests), np.uint8).reshape(-1, DIGEST_BYTES)
        return rows, np.array(self.recordings, np.int64)[rows], digests[rows]

    def _row(self, window_id: str) -> int | None:
        if self.limit is None:
            return len(self.recordings)
        rank = rank_of(window_id)
        if len(self._drawn) < self.limit:
            row = len(self._drawn)
            heapq.heappush(self._drawn, (-rank, row))
            return row
        highest, row = self._drawn[0]
        if rank >= -highest:
            return None
        heapq.heapreplace(self._drawn, (-rank, row))
        return row

    def _write(self, start: int, data: bytes) -> None:
        try:
            while data:
                written = os.pwrite(self._file.fileno(), data, start)
                start, data = start + written, data[written:]
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            raise DiskSpaceError(
                f"{self.path.parent} is full: {len(self)} windows, {_size(start)}, were written to it: draw fewer with "
                "--windows N, or choose an output on a larger disk"
            ) from None


def refuse_growth(file: WindowFile, share: float, what: str) -> None:
    """Raise DiskSpaceError when the rest of an input, of which `share` is decoded, surely does not fit on the disk.

    The rest is expected to have as many windows per byte. It is refused only if that is far more than there is room
    for, and not before much is written: the disk may fill up only days later, and the estimate is rough.
    """
    written = len(file) * file.n_samples * _ITEM_BYTES
    if written < _FIRST_ESTIMATE or not share:
        return
    expected, free = written / share, shutil.disk_usage(file.path.parent).free
    if expected > _SURELY * (written + free):
        raise DiskSpaceError(
            f"{what}: its windows will take some {_size(expected)} in {file.path.parent}, where {_size(free)} are left "
            f"after {_size(written)} of them: draw fewer with --windows N, or choose an output on a larger disk"
        )


def refuse_lack_of_space(folder: Path, n_windows: int, n_samples: int, what: str) -> None:
    """Raise DiskSpaceError when `n_windows` do not fit on the disk of `folder`; `what` names their input."""
    needed, free = n_windows * n_samples * _ITEM_BYTES, shutil.disk_usage(folder).free
    if needed > free:
        raise DiskSpaceError(
            f"{what}: {n_windows} windows take up to {_size(needed)} in {folder}, where {_size(free)} are free: draw "
            "fewer with --windows N, or choose an output on a larger disk"
        )


def _size(n_bytes: float) -> str:
    return f"{n_bytes / 1e9:.1f} GB"
