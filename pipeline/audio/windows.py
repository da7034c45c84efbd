"""Cutting a recording into fixed windows, as a classifier takes them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from schemas.explainer_config import FrontEndConfig

# What remains after the last whole window gets a window of its own if it is at least this share of one.
MIN_TAIL = 0.5


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


class Window(NamedTuple):
    """A window of a recording: its number from 0, where it lies, and its samples `[n]` float32, zeros after its end."""

    number: int
    span: Span
    samples: NDArray[np.float32]


def windows_of(
    waveform: NDArray[np.float32], front_end: FrontEndConfig, hop_s: float | None = None, min_tail: float = MIN_TAIL
) -> Iterator[Window]:
    """Yield the windows of a waveform `[n]` at the front end's rate, as runs, trainings and checks all cut them.

    Windows begin `hop_s` seconds apart, by default end to end; `min_tail` is the share of a window that what remains
    at the end must have. Raises ValueError as `cut_windows` does.
    """
    n, rate = front_end.window_samples, front_end.sample_rate
    hop = n if hop_s is None else round(hop_s * rate)
    for index, span in enumerate(cut_windows(len(waveform), n, hop, round(min_tail * n))):
        yield Window(index, span, take_window(waveform, span, n))
