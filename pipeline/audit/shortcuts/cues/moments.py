"""The first or the last moment of a recording as a cue: a click, a beep, a cut."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.audit.shortcuts.cues.cue import Cue, Sound

_FADE_S = 0.005


@dataclass(frozen=True)
class Edge(Cue):
    """The first seconds of a recording, or the last: a click, a beep, a cut."""

    seconds: float
    at: str = "start"
    kind = "edge"

    @property
    def words(self) -> str:
        """What it is, for people."""
        return f"the same sound in {self.place}"

    @property
    def place(self) -> str:
        """Where it is, for people."""
        return f"the {'first' if self.at == 'start' else 'last'} {1000 * self.seconds:.0f} ms"

    def without(self, sound: Sound, rate: int) -> Sound:
        """The sound with that moment silenced, and a short fade beside it."""
        return sound * self._gain(len(sound), rate)

    def within(self, sound: Sound, donor: Sound, rate: int) -> Sound:
        """The sound with the donor's first or last moment put in."""
        given = self.of(donor, rate)
        n = min(len(sound), len(given))
        made = sound.copy()
        here = slice(0, n) if self.at == "start" else slice(len(sound) - n, len(sound))
        made[here] += given[:n] if self.at == "start" else given[len(given) - n :]
        return made

    def _gain(self, n: int, rate: int) -> NDArray[np.float32]:
        silent, fade = round(self.seconds * rate), round(_FADE_S * rate)
        gain = np.ones(n, np.float32)
        gain[:silent] = 0
        gain[silent : silent + fade] = np.linspace(0, 1, len(gain[silent : silent + fade]))
        return gain if self.at == "start" else gain[::-1]

    def elsewhere(self, rng: np.random.Generator, rate: int) -> Cue:
        """A stretch of the same length in the middle of the sound."""
        return _Stretch(self.seconds, float(rng.uniform(0.2, 0.8)))


@dataclass(frozen=True)
class _Stretch(Cue):
    """A stretch of `seconds` that begins at the share `begins` of the sound."""

    seconds: float
    begins: float
    kind = "stretch"

    @property
    def words(self) -> str:
        """What it is, for people."""
        return f"{1000 * self.seconds:.0f} ms in the middle"

    def without(self, sound: Sound, rate: int) -> Sound:
        """The sound with silence there."""
        begin = round(self.begins * len(sound))
        gain = np.ones(len(sound), np.float32)
        gain[begin : begin + round(self.seconds * rate)] = 0
        return sound * gain

    def elsewhere(self, rng: np.random.Generator, rate: int) -> Cue:
        """Another such stretch."""
        return _Stretch(self.seconds, float(rng.uniform(0.2, 0.8)))
