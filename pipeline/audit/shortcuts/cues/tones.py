"""Steady tones as a cue: a hum with its harmonics, a pilot tone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline.audit.shortcuts.cues.cue import Cue, Sound
from pipeline.audit.shortcuts.cues.spectrum import N_FFT, hann, inverse, transform

# Bins that a tone occupies to either side, and those that show the level beside it.
_REACH, _BESIDE = 3, 24


@dataclass(frozen=True)
class Lines(Cue):
    """Steady tones at `hz`: a hum with its harmonics, a pilot tone."""

    hz: tuple[float, ...]
    kind = "tone"

    @property
    def words(self) -> str:
        """What it is, for people."""
        named = [f"{one:.0f}" for one in self.hz[:4]]
        more = f" and {len(self.hz) - 4} more" if len(self.hz) > 4 else ""
        return f"a steady tone at {', '.join(named)}{more} Hz"

    def without(self, sound: Sound, rate: int) -> Sound:
        """The sound with these tones brought down to the level beside them, where they are steady."""
        spectrum = transform(sound)
        power = np.square(np.abs(spectrum))
        bins = np.arange(len(power))
        middles = [round(hz * N_FFT / rate) for hz in self.hz]
        of_tones = np.any([np.abs(bins - middle) <= _REACH for middle in middles], axis=0)
        gain = np.ones_like(power)
        for middle in middles:
            here = np.abs(bins - middle) <= _REACH
            # Harmonics of a hum lie close together, and must not count as the level beside them.
            level = np.median(power[(np.abs(bins - middle) <= _BESIDE) & ~of_tones & (bins > 0)], axis=0)
            gain[here] = np.minimum(gain[here], np.sqrt(level / np.maximum(power[here], 1e-20)))
        return inverse(spectrum * gain, len(sound))

    def elsewhere(self, rng: np.random.Generator, rate: int) -> Lines:
        """As many tones, each moved by the same factor of a third of an octave to two octaves."""
        factor = 2.0 ** (rng.uniform(0.33, 2.0) * rng.choice((-1, 1)))
        top = 0.48 * rate
        moved = [one * factor if 40 < one * factor < top else one / factor for one in self.hz]
        return Lines(tuple(min(max(one, 40.0), top) for one in moved))

    def within(self, sound: Sound, donor: Sound, rate: int) -> Sound:
        """The sound with tones of the donor's levels put in."""
        return sound + _tones(self.hz, self.levels(donor, rate), len(sound), rate)

    def levels(self, donor: Sound, rate: int) -> list[float]:
        """The amplitude of each tone in the quieter frames of a sound."""
        magnitude = np.abs(transform(donor))
        scale = 2.0 / hann().sum()
        levels = []
        for hz in self.hz:
            middle = round(hz * N_FFT / rate)
            levels.append(float(np.quantile(magnitude[max(1, middle - 1) : middle + 2].max(axis=0), 0.3)) * scale)
        return levels


def _tones(hz: tuple[float, ...], levels: list[float], n: int, rate: int) -> Sound:
    t = np.arange(n) / rate
    made = np.zeros(n)
    for one, level in zip(hz, levels, strict=True):
        made += level * np.sin(2 * np.pi * one * t)
    return made.astype(np.float32)
