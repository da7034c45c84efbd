"""Cut a recording into fixed windows, as a classifier takes them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from schemas.explainer_config import FrontEndConfig

# The rest after the last whole window gets a window of its own if it is at least this share of one.
MIN_TAIL = 0.5


class Span(NamedTuple):
    """Samples `start` to `stop` (exclusive) of a recording."""

    start: int
    stop: int


def take_window(waveform: NDArray[np.float32], span: Span, window: int) -> NDArray[np.float32]:
    """Copy a span of a waveform `[n]` into a window `[window]`, float32, with zeros after its end."""
    out = np.zeros(window, dtype=np.float32)
    out[: span.stop - span.start] = waveform[span.start : span.stop]
    return out


class Window(NamedTuple):
    """A window of a recording: its number from 0, where it lies, and its samples float32, zeros after its end.

    The samples are `[n]`, or `[channels, n]` where several channels are cut at once.
    """

    number: int
    span: Span
    samples: NDArray[np.float32]


def windows_of(
    waveform: NDArray[np.float32], front_end: FrontEndConfig, hop_s: float | None = None, min_tail: float = MIN_TAIL
) -> Iterator[Window]:
    """Yield the windows of a waveform `[n]` at the front end's rate, as `WindowCutter` cuts those of a stream.

    Windows begin `hop_s` seconds apart, by default end to end; `min_tail` is the share of a window that the rest at the
    end must have.
    """
    cutter = WindowCutter(front_end, hop_s, min_tail)
    for window in (*cutter.add(waveform[None]), *cutter.end()):
        yield window._replace(samples=window.samples[0])


class WindowCutter:
    """Cuts a recording that comes in blocks into windows `hop_s` seconds apart, by default end to end.

    Every sample lies in a window, if windows are no further apart than they are long, unless the samples after the last
    whole window are less than the share `min_tail` of one: these are left out, as a classifier can say little about a
    window that is almost all padding. A recording shorter than a window has one, a recording without samples none.
    The cutter holds only the incomplete window and the last complete one, which may be the last of all. `first` is the
    number of the window to begin with: the first block then begins where that window does.
    """

    def __init__(self, front_end: FrontEndConfig, hop_s: float | None, min_tail: float, first: int = 0) -> None:
        self._window = front_end.window_samples
        self.hop = self._window if hop_s is None else round(hop_s * front_end.sample_rate)
        self._min_tail = round(min_tail * self._window)
        self._next, self._begin = first, first * self.hop
        self._held: NDArray[np.float32] | None = None
        self.n = self._begin

    def add(self, block: NDArray[np.float32]) -> Iterator[Window]:
        """Take the next samples `[channels, n]`, and yield the windows that are complete and cannot be the last."""
        self._held = block if self._held is None else np.concatenate([self._held, block], axis=1)
        self.n += block.shape[1]
        while self._next < _count(self.n, self._window, self.hop, self._min_tail) - 1:
            yield self._take()

    def end(self) -> Iterator[Window]:
        """Yield the rest: at least one window, if there were samples."""
        while self._next < _count(self.n, self._window, self.hop, self._min_tail):
            yield self._take()

    def _take(self) -> Window:
        assert self._held is not None, "windows are counted by the samples that were taken"
        number, start = self._next, self._next * self.hop
        span = Span(start, min(start + self._window, self.n))
        samples = np.zeros((len(self._held), self._window), np.float32)
        samples[:, : span.stop - span.start] = self._held[:, start - self._begin : span.stop - self._begin]
        self._next += 1
        following = self._next * self.hop
        self._held, self._begin = self._held[:, following - self._begin :], following
        return Window(number, span, samples)


def _count(n_samples: int, window: int, hop: int, min_tail: int) -> int:
    n_windows = 0 if n_samples == 0 else 1 + max(0, -(-(n_samples - window) // hop))
    covered = (n_windows - 2) * hop + window
    return n_windows - (n_windows > 1 and n_samples - covered < min_tail)
