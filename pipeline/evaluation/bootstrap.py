"""Confidence intervals of means: percentile bootstrap over recordings (Efron 1979), each with all its windows."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

LEVEL = 0.95


class Interval(NamedTuple):
    """Means `[K]` over n windows, with the ends of their 95% intervals."""

    value: np.ndarray
    low: np.ndarray
    high: np.ndarray
    n: int


class Bootstrap:
    """One set of resamples of the recordings, used for every column, so that differences are paired automatically."""

    def __init__(self, recording_of_window: np.ndarray, resamples: int = 2000, seed: int = 0) -> None:
        self.recordings, self.recording_of_window = np.unique(recording_of_window, return_inverse=True)
        count = len(self.recordings)
        drawn = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), size=resamples)
        self.weights = drawn.astype(np.float64)
        windows = np.bincount(self.recording_of_window, minlength=count).astype(np.float64)
        self.windows_drawn = self.weights @ windows

    def interval(self, values: np.ndarray) -> Interval:
        """Return the means over windows of columns `[W, K]` or of one column `[W]`, with intervals; arrays `[K]`."""
        table = np.asarray(values, dtype=np.float64).reshape(len(self.recording_of_window), -1)
        # Relative to the first window's value, so that a constant column has exactly its value in each resample.
        origin = table[0]
        sums = np.zeros((len(self.recordings), table.shape[1]))
        np.add.at(sums, self.recording_of_window, table - origin)
        means = self.weights @ sums / self.windows_drawn[:, None]
        low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
        return Interval(origin + (table - origin).mean(axis=0), origin + low, origin + high, len(table))
