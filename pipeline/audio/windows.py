"""Cutting a recording into fixed windows, as a classifier takes them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Span(NamedTuple):
    """Samples `start` to `stop` (exclusive) of a recording."""

    start: int
    stop: int


def cut_windows(n_samples: int, window: int, hop: int | None = None, min_tail: int = 0) -> list[Span]:
    """Cut a recording of `n_samples` into windows of `window` samples, `hop` apart (by default end to end).

    The last may be shorter than `window`; a recording without samples has none. Every sample lies in a window, except
    that fewer than `min_tail` samples after the last whole window are left out: a classifier can say little about a
    window that is almost all padding.
    Raises ValueError when `hop` would leave samples out, or a length is not positive.

    >>> cut_windows(10, window=4)
    [Span(start=0, stop=4), Span(start=4, stop=8), Span(start=8, stop=10)]
    """
    hop = window if hop is None else hop
    if n_samples < 0 or window < 1:
        raise ValueError(f"n_samples must be at least 0 and window at least 1, got {n_samples} and {window}")
    if not 1 <= hop <= window:
        raise ValueError(f"hop must lie in 1..window ({window}), got {hop}: the samples between would be left out")
    n_windows = 0 if n_samples == 0 else 1 + max(0, -(-(n_samples - window) // hop))
    covered = (n_windows - 2) * hop + window
    if n_windows > 1 and n_samples - covered < min_tail:
        n_windows -= 1
    return [Span(i * hop, min(i * hop + window, n_samples)) for i in range(n_windows)]


def take_window(waveform: NDArray[np.float32], span: Span, window: int) -> NDArray[np.float32]:
    """Copy a span of a waveform `[n]` into a window `[window]`, float32, with zeros after its end."""
    out = np.zeros(window, dtype=np.float32)
    out[: span.stop - span.start] = waveform[span.start : span.stop]
    return out
