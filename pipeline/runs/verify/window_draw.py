"""Draw the windows of a run that are explained again."""

from __future__ import annotations

import hashlib
import heapq
from dataclasses import dataclass

import numpy as np

from pipeline.runs.verify.recordings import name_of


@dataclass(frozen=True, order=True)
class Window:
    """A window of a run, and the part that it is in."""

    clip_id: str
    index: int
    shard_id: str
    part: int

    @property
    def window_id(self) -> str:
        """Its name in the tables."""
        return f"{self.clip_id}-{self.index:05d}"


class WindowDraw:
    """Draws `count` windows of a run, or all if there are fewer, with equal probability; holds no more than those.

    A window's rank is a hash of its name and the seed.
    """

    def __init__(self, count: int, seed: int) -> None:
        self._count, self._seed = count, seed
        # The highest rank on top.
        self._lowest: list[tuple[int, Window]] = []

    def add(self, shard_id: str, part: int, recordings: np.ndarray) -> None:
        """Add the windows of a part; `recordings` as returned by `recordings_of`."""
        for recording in recordings[recordings["first"] >= 0] if self._count else ():
            for index in range(recording["first"], recording["last"] + 1):
                window = Window(name_of(recording["id"]), index, shard_id, part)
                digest = hashlib.sha256(f"{self._seed} {window.window_id}".encode()).digest()
                item = (-int.from_bytes(digest[:8], "big"), window)
                if len(self._lowest) < self._count:
                    heapq.heappush(self._lowest, item)
                else:
                    heapq.heappushpop(self._lowest, item)

    @property
    def windows(self) -> list[Window]:
        """The drawn windows, sorted."""
        return sorted(window for _, window in self._lowest)
