"""The sound of the windows shown: what is kept, what is removed, and the original."""

from __future__ import annotations

import io
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import soundfile
from numpy.typing import NDArray

from pipeline.audio.flac import encode_flac
from pipeline.audit.report.windows import Windows
from pipeline.runs.listenable import Listenable
from pipeline.runs.original import Originals, SidesSum, sides_add_up
from pipeline.runs.run import Run
from pipeline.runs.window_rows import WindowRows

_NAMES = {"masked_in": "kept", "masked_out": "removed"}
_COLUMNS = ("window_id", "target", "kind", "sample_rate", "gain_db", "audio")

# A picture of a waveform `[n]` at a rate in Hz.
Draw = Callable[[NDArray[np.float32], int], bytes]


@dataclass
class Heard:
    """The sound of one window: FLACs of both sides by target, the original's FLAC, and a picture of what there is."""

    sides: dict[str, dict[str, bytes]] = field(default_factory=lambda: defaultdict(dict))
    original: bytes | None = None
    picture: bytes | None = None


class Sounds:
    """The sound of windows shown, as far as a run keeps it and its input is given.

    The original is the sum of both sides where the run has both, else it is read from the input; where there is none,
    the picture is of what is kept.
    """

    def __init__(self, run: Run, windows: Windows, rows: WindowRows, originals: Originals | None, draw: Draw) -> None:
        self._windows, self._rows, self._originals, self._draw = windows, rows, originals, draw
        self._rate: int = run.record.explainer["sample_rate"]
        self._adds_up = sides_add_up(run)

    def sides(self, i: int) -> list[set[str]]:
        """Which of `kept` and `removed` the run keeps of each explanation of window `i`; reads no sound."""
        held = self._rows.keys(self._windows.rows[i]["window_id"])
        return [
            {_NAMES[kind] for target, kind in held if target == one["target"]} for one in self._windows.explanations[i]
        ]

    def has_original(self, i: int) -> bool:
        """Whether there is an original of window `i`; the input has one if it is the run's."""
        return self._originals is not None or (self._adds_up and any(len(one) == 2 for one in self.sides(i)))

    def read(self, places: Sequence[int]) -> dict[int, Heard]:
        """Read the sound of the windows at these places; those without any are left out.

        Raises InputError if a window cannot be read again from the input.
        """
        targets = self._windows.targets(places)
        heard: dict[int, Heard] = defaultdict(Heard)
        sum_of_sides = SidesSum()
        for row in self._rows.rows(targets.keys(), _COLUMNS):
            if row["target"] not in targets[row["window_id"]]:
                continue
            one = heard[self._windows.by_id[row["window_id"]]]
            side = Listenable(row.pop("audio")["bytes"], row)
            one.sides[row["target"]][_NAMES[row["kind"]]] = side.flac
            if one.original is None and self._adds_up:
                waveform = sum_of_sides.add(side)
                if waveform is not None:
                    self._take(one, waveform)
        self._read_input([i for i in places if i not in heard or heard[i].original is None], heard)
        for one in heard.values():
            kept = next((sides["kept"] for sides in one.sides.values() if "kept" in sides), None)
            if one.picture is None and kept is not None:
                one.picture = self._draw(soundfile.read(io.BytesIO(kept), dtype="float32")[0], self._rate)
        return heard

    def _read_input(self, places: Sequence[int], heard: dict[int, Heard]) -> None:
        if self._originals is None or not places:
            return
        for window_id, waveform in self._originals.read([self._windows.rows[i] for i in places]):
            self._take(heard[self._windows.by_id[window_id]], waveform)

    def _take(self, one: Heard, waveform: NDArray[np.float32]) -> None:
        # Drawn at once: the waveforms of all windows would take gigabytes.
        one.original, one.picture = encode_flac(waveform, self._rate), self._draw(waveform, self._rate)
