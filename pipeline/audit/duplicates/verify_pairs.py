"""Candidates compared by their sound: which are copies, and which could not be compared."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.audit.duplicates.excerpts import Excerpts
from pipeline.audit.duplicates.recorded_windows import RecordedWindows
from pipeline.audit.duplicates.waveform_match import match

# From ids of windows to their samples at a rate, in any order.
Reader = Callable[[Collection[str]], Iterable[tuple[str, NDArray[np.float32]]]]


@dataclass(frozen=True)
class Copy:
    """Two windows of different recordings with the same sound; the second's time plus `lag_s` is the first's."""

    first: int
    second: int
    correlation: float
    lag_s: float


@dataclass(frozen=True)
class Verified:
    """The copies among pairs of windows, and those pairs whose sound was not there, as places among the pairs."""

    copies: list[Copy]
    unheard: NDArray[np.int64]


def verify(windows: RecordedWindows, pairs: NDArray[np.int64], read: Reader, sample_rate: int) -> Verified:
    """Read the sound of pairs of windows `[P, 2]`, each once, and compare the excerpts around both.

    Once a pair is a copy, no other pair of the same two recordings is compared. Memory does not grow with the pairs.
    """
    copies: list[Copy] = []
    unheard: list[int] = []
    if not len(pairs):
        return Verified(copies, np.zeros(0, np.int64))
    with Excerpts(windows) as excerpts:
        needed = excerpts.needed(np.unique(pairs))
        number = {windows.window_ids[one]: int(one) for one in needed}
        for window_id, samples in read(number.keys()):
            excerpts.put(number[window_id], samples, sample_rate)
        done: set[tuple[int, int]] = set()
        # Sorted by the first window, so that excerpts and their spectra are reused.
        for place in np.lexsort((pairs[:, 1], pairs[:, 0])).tolist():
            first, second = int(pairs[place, 0]), int(pairs[place, 1])
            recordings = int(windows.recording[first]), int(windows.recording[second])
            if not (excerpts.has(first) and excerpts.has(second)):
                unheard.append(place)
            elif (two := (min(recordings), max(recordings))) not in done:
                found = match(excerpts.around(first), excerpts.around(second))
                if found.is_copy:
                    done.add(two)
                    copies.append(Copy(first, second, found.correlation, found.lag_s))
    return Verified(copies, np.array(sorted(unheard), np.int64))
