"""Steady tones as a cue: a hum with its harmonics, a pilot tone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from pipeline.audit.shortcuts.cues.cue import Cue, Sound
from pipeline.audit.shortcuts.cues.spectrum import N_FFT, hann, inverse, transform

# Bins that a tone occupies to either side, and the nearest others, which show the level beside it.
_REACH, _BESIDE = 3, 36
# A tone is steady for so long: a hum drifts. And so far from a bin's middle its frequency may lie, in bins.
_STEADY_S, _OFF = 0.5, 1.5


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
        """The sound with these tones subtracted, and what remains brought down to the level beside them.

        A window's sidelobes spread a loud tone over all bins about it: cutting a few leaves most of a hum to be heard.
        """
        spectrum = transform(_subtracted(sound, self.hz, rate))
        power = np.square(np.abs(spectrum))
        bins = np.arange(len(power))
        middles = [round(hz * N_FFT / rate) for hz in self.hz]
        of_tones = np.any([np.abs(bins - middle) <= _REACH for middle in middles], axis=0)
        # Harmonics of a hum lie close together, and must not count as the level beside them.
        free = np.flatnonzero(~of_tones & (bins > 0))
        gain = np.ones_like(power)
        for middle in middles:
            here = np.abs(bins - middle) <= _REACH
            beside = free[np.argsort(np.abs(free - middle), kind="stable")[:_BESIDE]]
            level = np.median(power[beside], axis=0)
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


def _subtracted(sound: Sound, hz: tuple[float, ...], rate: int) -> Sound:
    """The sound less the sinusoids at `hz` that fit it best, all at once, in overlapping blocks."""
    block = 2 * (min(round(_STEADY_S * rate), len(sound)) // 2)
    if block < N_FFT:
        return sound
    phase = 2 * np.pi * np.outer(np.arange(block) / rate, _exact(sound, hz, rate))
    waves = np.concatenate([np.cos(phase), np.sin(phase)], axis=1)
    fit = np.linalg.pinv(waves, rcond=1e-6).T
    # At the ends of the sound there is one block alone, whose fade must not vanish.
    fade = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(block) / block) + 1e-6
    fitted, faded = np.zeros(len(sound)), np.zeros(len(sound))
    for start in [*range(0, len(sound) - block, block // 2), len(sound) - block]:
        here = slice(start, start + block)
        fitted[here] += fade * (waves @ (sound[here] @ fit))
        faded[here] += fade
    return (sound - fitted / faded).astype(np.float32)


def _exact(sound: Sound, hz: tuple[float, ...], rate: int) -> NDArray[np.float64]:
    """The strongest frequency near each of `hz` in the spectrum of the whole sound."""
    size = 4 * len(sound)
    level = np.log(np.abs(scipy.fft.rfft(sound * np.hanning(len(sound)), size)) + 1e-12)
    off = _OFF * rate / N_FFT
    found = []
    for one in hz:
        low, high = (max(1, round(edge * size / rate)) for edge in (one - off, one + off))
        peak = low + int(level[low : high + 1].argmax())
        before, there, behind = level[peak - 1 : peak + 2] if peak + 1 < len(level) else (0.0, 0.0, 0.0)
        # The top of a parabola through three bins; the edge of what was searched need not be a peak.
        bend = before - 2 * there + behind
        top = 0.5 * (before - behind) / bend if bend < 0 and before <= there >= behind else 0.0
        found.append((peak + top) * rate / size)
    return np.array(found)


def _tones(hz: tuple[float, ...], levels: list[float], n: int, rate: int) -> Sound:
    t = np.arange(n) / rate
    made = np.zeros(n)
    for one, level in zip(hz, levels, strict=True):
        made += level * np.sin(2 * np.pi * one * t)
    return made.astype(np.float32)
