"""The nearest windows of other recordings, by the classifier's embeddings."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


class Neighbours:
    """Finds the nearest of `embeddings` `[N, D]`, each of a window of the recording in `clip_ids` `[N]`."""

    def __init__(self, embeddings: NDArray[np.float32], clip_ids: Sequence[str]) -> None:
        self._recording = np.unique(np.asarray(clip_ids), return_inverse=True)[1]
        self._unit = embeddings / np.maximum(np.linalg.norm(embeddings, axis=1, keepdims=True), 1e-12)

    def nearest(self, rows: range, count: int = 5) -> list[list[tuple[int, float]]]:
        """Find the nearest rows of other recordings for each of these rows, with their cosine similarity.

        Exact; the nearest first, and only one window of a recording. Fewer where there are no more recordings. Pass a
        few hundred rows at once: `[rows, N]` cosines are held in memory.
        """
        if not rows:
            return []
        these, recording = slice(rows.start, rows.stop), self._recording
        # A recording's other windows are left out, and only the first of another's is taken: look a little further.
        depth = min(len(self._unit), count * 4)
        cosines = self._unit[these] @ self._unit.T
        cosines[recording[these, None] == recording[None, :]] = -np.inf
        closest = np.argpartition(-cosines, depth - 1, axis=1)[:, :depth]
        return [_first(row, near, recording, count) for row, near in zip(cosines, closest, strict=True)]


def _first(
    cosines: NDArray[np.float32], near: NDArray[np.int64], recording: NDArray[np.int64], count: int
) -> list[tuple[int, float]]:
    ordered = sorted((int(i) for i in near if np.isfinite(cosines[i])), key=lambda i: (-cosines[i], i))
    once: dict[int, int] = {}
    for i in ordered:
        once.setdefault(int(recording[i]), i)
    return [(i, float(cosines[i])) for i in list(once.values())[:count]]
