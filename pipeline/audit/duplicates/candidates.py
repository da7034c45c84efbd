"""Pairs of windows that may be copies: neighbours by the classifier's embedding, and by the shape of the spectrum."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.audit.duplicates.neighbours import nearest, unit_vectors

# Neighbours of a window in each description, and most pairs of windows for two recordings.
NEIGHBOURS, PER_RECORDINGS = 4, 3
# Pairs that are compared by their sound, the likeliest first: about three milliseconds each.
MAX_PAIRS = 10_000
# How far below the loudest band a spectrum's shape reaches.
_DEPTH_DB = 20.0


@dataclass(frozen=True)
class Candidates:
    """Pairs of windows `[P, 2]`, the likeliest first, and their `similarity` in each description `[P, descriptions]`.

    `left_out` is the number of pairs beyond the maximum.
    """

    pairs: NDArray[np.int64]
    similarity: NDArray[np.float32]
    left_out: int


def spectral_shapes(band_levels_dbfs: NDArray[np.float32]) -> NDArray[np.float32]:
    """The levels of mel bands `[W, bands]` in dB relative to their mean, which a gain does not change."""
    # Noise and codecs change most what lies far below the loudest band.
    levels = np.maximum(band_levels_dbfs, band_levels_dbfs.max(axis=1, keepdims=True) - _DEPTH_DB)
    shapes: NDArray[np.float32] = levels - levels.mean(axis=1, keepdims=True)
    return shapes


def find_candidates(
    descriptions: Sequence[NDArray[np.float32]], recording: NDArray[np.int64], max_pairs: int = MAX_PAIRS
) -> Candidates:
    """Find pairs of windows of different recordings that are neighbours in any of the descriptions, each `[W, D]`.

    The descriptions are changed in place. An embedding moves with noise, and when the level falls towards the floor of
    a log-mel; a spectrum's shape moves when the part cut off sounded different. Together they miss next to nothing.
    """
    units = [unit_vectors(one) for one in descriptions]
    ranked = []
    for vectors in units:
        near, _ = nearest(vectors, recording, NEIGHBOURS)
        first, rank = np.nonzero(near >= 0)
        second = near[first, rank]
        ranked.append(np.stack([np.minimum(first, second), np.maximum(first, second), rank], axis=1))
    rows = np.concatenate(ranked) if ranked else np.zeros((0, 3), np.int64)
    # A pair in several lists counts with its best rank.
    rows = rows[np.lexsort((rows[:, 2], rows[:, 1], rows[:, 0]))]
    new = np.ones(len(rows), bool)
    new[1:] = (rows[1:, :2] != rows[:-1, :2]).any(axis=1)
    rows = rows[new]
    alike = _similarities(units, rows[:, :2])
    order = np.lexsort((rows[:, 1], rows[:, 0], -alike.max(axis=1, initial=-1.0), rows[:, 2]))
    rows, alike = rows[order], alike[order]
    kept = _few_of_two_recordings(recording[rows[:, :2]])
    rows, alike = rows[kept], alike[kept]
    return Candidates(rows[:max_pairs, :2], alike[:max_pairs], max(0, len(rows) - max_pairs))


def _similarities(units: Sequence[NDArray[np.float32]], pairs: NDArray[np.int64]) -> NDArray[np.float32]:
    alike = np.zeros((len(pairs), len(units)), np.float32)
    for first in range(0, len(pairs), 65_536):
        one, other = pairs[first : first + 65_536].T
        for number, vectors in enumerate(units):
            alike[first : first + 65_536, number] = np.einsum("nd,nd->n", vectors[one], vectors[other])
    return alike


def _few_of_two_recordings(recordings: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which pairs of recordings `[P, 2]` are among the first few of the same two recordings."""
    low, high = recordings.min(axis=1), recordings.max(axis=1)
    order = np.lexsort((np.arange(len(low)), high, low))
    begins = np.ones(len(order), bool)
    begins[1:] = (low[order][1:] != low[order][:-1]) | (high[order][1:] != high[order][:-1])
    starts = np.flatnonzero(begins)
    place = np.arange(len(order)) - np.repeat(starts, np.diff(np.append(starts, len(order))))
    kept = np.zeros(len(order), bool)
    kept[order] = place < PER_RECORDINGS
    return kept
