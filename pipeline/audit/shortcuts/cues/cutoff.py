"""An empty spectrum above a frequency as a cue: sound that was low-passed or upsampled."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline.audit.shortcuts.cues.cue import Cue, Sound
from pipeline.audit.shortcuts.cues.spectrum import N_FFT, inverse, transform


@dataclass(frozen=True)
class Cutoff(Cue):
    """An empty spectrum above `hz`: low-passed or upsampled sound."""

    hz: float
    kind = "cutoff"

    @property
    def words(self) -> str:
        """What it is, for people."""
        return f"an empty spectrum above {self.hz:.0f} Hz"

    def without(self, sound: Sound, rate: int) -> Sound:
        """The sound with faint noise above the edge, at the level of the spectrum below it."""
        spectrum = transform(sound)
        edge = round(self.hz * N_FFT / rate)
        below = np.abs(spectrum[max(1, edge - 60) : max(2, edge - 20)])
        noise = transform(np.random.default_rng(len(sound)).standard_normal(len(sound)).astype(np.float32))
        spectrum[edge:] += noise[edge:] * np.float32(np.median(below) / np.median(np.abs(noise)))
        return inverse(spectrum, len(sound))

    def within(self, sound: Sound, donor: Sound, rate: int) -> Sound:
        """The sound low-passed at the edge."""
        spectrum = transform(sound)
        spectrum[round(self.hz * N_FFT / rate) :] *= np.float32(1e-3)
        return inverse(spectrum, len(sound))

    def elsewhere(self, rng: np.random.Generator, rate: int) -> Cue:
        """A gap that begins half an octave to three octaves below the edge and takes as much energy out."""
        return _Gap(float(self.hz * 2.0 ** -rng.uniform(0.5, 3.0)), self.hz)


@dataclass(frozen=True)
class _Gap(Cue):
    """A band without sound, from `low_hz` on, which holds as much energy as there is above `edge_hz`."""

    low_hz: float
    edge_hz: float
    kind = "gap"

    @property
    def words(self) -> str:
        """What it is, for people."""
        return f"a gap from {self.low_hz:.0f} Hz on"

    def without(self, sound: Sound, rate: int) -> Sound:
        """The sound as it is: there is no gap in it."""
        return sound

    def within(self, sound: Sound, donor: Sound, rate: int) -> Sound:
        """The sound with the band taken out."""
        spectrum = transform(sound)
        low, edge = (round(hz * N_FFT / rate) for hz in (self.low_hz, self.edge_hz))
        energy = np.square(np.abs(spectrum)).sum(axis=1, dtype=np.float64)
        held = np.cumsum(energy[low:edge])
        high = low + 1 + int(np.searchsorted(held, energy[edge:].sum()))
        spectrum[low : min(high, edge)] *= np.float32(1e-3)
        return inverse(spectrum, len(sound))

    def elsewhere(self, rng: np.random.Generator, rate: int) -> Cue:
        """Another gap."""
        return _Gap(self.low_hz * 2.0 ** rng.uniform(-1, 1), self.edge_hz)
