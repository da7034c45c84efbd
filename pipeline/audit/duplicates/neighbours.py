"""Nearest neighbours among windows of different recordings, by an index: exact up to some thousands, then by cells."""

from __future__ import annotations

import faiss
import numpy as np
from numpy.typing import NDArray

# Up to this many vectors, all are compared with all, in about ten seconds on a core.
EXACT = 20_000
# For more vectors: cells of the index, as a factor of the root of their number, and cells searched for a vector.
_CELLS, _PROBED = 2.0, 6
_TRAINED_PER_CELL, _ITERATIONS = 40, 8
# All neighbours of a window may be from its own long recording: then more are requested, up to this many.
_ASKED_FURTHER, _MOST_ASKED = 4, 256
_BLOCK = 8192


def unit_vectors(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Centre vectors `[n, D]` and scale them to length 1, so that a dot product is a similarity from -1 to 1.

    float32 vectors are changed in place: a million of them take a gigabyte.
    """
    vectors = np.require(vectors, np.float32, ["C", "W"])
    vectors -= vectors.mean(axis=0, dtype=np.float64).astype(np.float32)
    for first in range(0, len(vectors), _BLOCK):
        block = vectors[first : first + _BLOCK]
        block /= np.maximum(np.linalg.norm(block, axis=1, keepdims=True), 1e-12)
    return vectors


def nearest(
    vectors: NDArray[np.float32], recording: NDArray[np.int64], count: int
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Find the `count` nearest of other recordings for unit vectors `[n, D]`: indices, -1 for none, and similarities.

    Both are `[n, count]`, the nearest first. The same input gives the same result.
    """
    n = len(vectors)
    near = np.full((n, count), -1, np.int64)
    similarity = np.full((n, count), -1.0, np.float32)
    if n < 2:
        return near, similarity
    index = _index(vectors)
    asked, open_ = min(n, 2 * count + 1), np.arange(n)
    while len(open_):
        left = []
        for first in range(0, len(open_), _BLOCK):
            rows = open_[first : first + _BLOCK]
            scores, found = index.search(vectors[rows], asked)
            foreign = (found >= 0) & (recording[found] != recording[rows][:, None])
            # A stable sort brings those of other recordings forward, in their order.
            order = np.argsort(~foreign, axis=1, kind="stable")[:, :count]
            valid = np.take_along_axis(foreign, order, axis=1)
            width = order.shape[1]
            near[rows, :width] = np.where(valid, np.take_along_axis(found, order, axis=1), -1)
            similarity[rows, :width] = np.where(valid, np.take_along_axis(scores, order, axis=1), -1.0)
            left.append(rows[(foreign.sum(axis=1) < count) & (found[:, -1] >= 0)])
        if asked >= min(n, _MOST_ASKED):
            break
        asked, open_ = min(n, asked * _ASKED_FURTHER, _MOST_ASKED), np.concatenate(left)
    return near, similarity


def _index(vectors: NDArray[np.float32]) -> faiss.Index:
    n, dimensions = vectors.shape
    if n <= EXACT:
        flat = faiss.IndexFlatIP(dimensions)
        flat.add(vectors)
        return flat
    cells = round(_CELLS * n**0.5)
    # Half precision: half the memory, and errors far below the differences that matter.
    index = faiss.IndexIVFScalarQuantizer(
        faiss.IndexFlatIP(dimensions),
        dimensions,
        cells,
        faiss.ScalarQuantizer.QT_fp16,
        faiss.METRIC_INNER_PRODUCT,
        False,
    )
    index.cp.niter, index.nprobe = _ITERATIONS, _PROBED
    sample = np.random.default_rng(0).choice(n, min(n, _TRAINED_PER_CELL * cells), replace=False)
    index.train(vectors[np.sort(sample)])
    for first in range(0, n, _BLOCK):
        index.add(vectors[first : first + _BLOCK])
    return index
