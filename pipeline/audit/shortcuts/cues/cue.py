"""A part of a sound that a classifier may listen to instead of the event: it is taken out, and put into others."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from numpy.typing import NDArray

Sound = NDArray[np.float32]


class Cue(ABC):
    """A part of a sound that may be what a classifier listens to, at a rate in Hz."""

    kind: str

    @property
    @abstractmethod
    def words(self) -> str:
        """What it is, for people."""

    @property
    def place(self) -> str:
        """Where it is, for people."""
        return self.words

    @abstractmethod
    def without(self, sound: Sound, rate: int) -> Sound:
        """The sound `[n]` with the cue taken out."""

    @abstractmethod
    def elsewhere(self, rng: np.random.Generator, rate: int) -> Cue:
        """A cue of the same size in another place, drawn at random."""

    def of(self, donor: Sound, rate: int) -> Sound:
        """The cue in a sound `[n]`: what `without` takes out of it."""
        return donor - self.without(donor, rate)

    def within(self, sound: Sound, donor: Sound, rate: int) -> Sound:
        """The sound `[n]` with the cue of a donor `[m]` put in, where it is in the donor."""
        given = self.of(donor, rate)[: len(sound)]
        return sound + np.pad(given, (0, len(sound) - len(given)))

    def evidence(self) -> dict[str, Any]:
        """What it is, for programs."""
        return {"cue": self.kind, **vars(self)}
