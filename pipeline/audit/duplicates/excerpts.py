"""The sound of windows and what surrounds them, in a scratch file at a reduced rate: each window is read once."""

from __future__ import annotations

import tempfile
from collections import OrderedDict

import numpy as np
import soxr
from numpy.typing import NDArray

from pipeline.audit.duplicates.recorded_windows import RecordedWindows
from pipeline.audit.duplicates.waveform_match import RATE, Sound

# Excerpts held in memory with their spectra: under 200 MB if each has 15 s.
_HELD = 128


class Excerpts:
    """Windows of recordings at RATE, and excerpts that reach from the window before one to the window after it.

    A copy may begin elsewhere, so that its windows lie between those of the original. The scratch file takes 16 kB for
    each second of sound, and is deleted with the object.
    """

    def __init__(self, windows: RecordedWindows) -> None:
        self._windows = windows
        self._file = tempfile.TemporaryFile(prefix="lmac-audit-")  # noqa: SIM115
        self._places: dict[int, tuple[int, int, float]] = {}
        self._end = 0
        self._sounds: OrderedDict[int, Sound] = OrderedDict()
        order = np.lexsort((windows.start_s, windows.clip))
        same = windows.clip[order][1:] == windows.clip[order][:-1]
        self._before = np.full(len(order), -1)
        self._behind = np.full(len(order), -1)
        self._before[order[1:][same]] = order[:-1][same]
        self._behind[order[:-1][same]] = order[1:][same]

    def __enter__(self) -> Excerpts:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def needed(self, centres: NDArray[np.int64]) -> NDArray[np.int64]:
        """The windows whose sound makes the excerpts around these, ascending."""
        around = np.unique(np.concatenate([centres, self._before[centres], self._behind[centres]]))
        return around[around >= 0]

    def put(self, window: int, samples: NDArray[np.float32], sample_rate: int) -> None:
        """Store the samples `[n]` of a window at `sample_rate`."""
        reduced = samples.astype(np.float32)
        if len(reduced) and sample_rate != RATE:
            reduced = soxr.resample(reduced, sample_rate, RATE)
        # Half floats keep 66 dB below each sample, as long as none is far from 1.
        peak = float(np.abs(reduced).max(initial=0.0)) or 1.0
        data = (reduced / np.float32(peak)).astype(np.float16).tobytes()
        self._file.seek(self._end)
        self._file.write(data)
        self._places[window] = self._end, len(reduced), peak
        self._end += len(data)

    def has(self, window: int) -> bool:
        """Whether the sound of a window itself is stored."""
        return window in self._places

    def around(self, window: int) -> Sound:
        """The excerpt around a window, made of those windows that are stored."""
        if window in self._sounds:
            self._sounds.move_to_end(window)
            return self._sounds[window]
        parts = [int(one) for one in (self._before[window], window, self._behind[window])]
        parts = [one for one in parts if one in self._places]
        starts = [round(float(self._windows.start_s[one]) * RATE) for one in parts]
        first = min(starts)
        ends = [start - first + self._places[one][1] for one, start in zip(parts, starts, strict=True)]
        samples = np.zeros(max(ends), np.float32)
        for one, start in zip(parts, starts, strict=True):
            place, count, peak = self._places[one]
            self._file.seek(place)
            data = np.frombuffer(self._file.read(2 * count), np.float16)
            samples[start - first : start - first + count] = data.astype(np.float32) * np.float32(peak)
        self._sounds[window] = sound = Sound(samples)
        if len(self._sounds) > _HELD:
            self._sounds.popitem(last=False)
        return sound
