"""The steady background of a recording as a cue: the noise of a place or a device."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.audit.shortcuts.cues.cue import Cue, Sound
from pipeline.audit.shortcuts.cues.spectrum import N_FFT, inverse, transform

# Steady noise is measured at the level that this share of the frames lies below, which is _OF_MEAN times its mean; this
# many times its power is taken out.
QUIET_SHARE, _OVER = 0.25, 3.0
_OF_MEAN = float(-np.log(1 - QUIET_SHARE))
_BANDS_FROM_HZ, _BANDS_OCTAVE = 60.0, 6


@dataclass(frozen=True)
class Background(Cue):
    """The steady sound behind a recording: noise that does not change with time, as far as it exceeds the usual.

    `usual_db` is the level of a bin in each of the `bands` of a rate, in the quieter frames of recordings without it;
    if it is empty, silence is usual.
    """

    low_hz: float
    high_hz: float
    usual_db: tuple[float, ...] = ()
    kind = "background"

    @property
    def words(self) -> str:
        """What it is, for people."""
        return f"a steady background from {self.low_hz:.0f} to {self.high_hz:.0f} Hz"

    @property
    def place(self) -> str:
        """Where it is, for people."""
        return f"the band from {self.low_hz:.0f} to {self.high_hz:.0f} Hz"

    def without(self, sound: Sound, rate: int) -> Sound:
        """The sound with what is steady in that band brought down to what is usual, by spectral subtraction."""
        spectrum = transform(sound)
        power = np.maximum(np.square(np.abs(spectrum)), 1e-20)
        left = np.minimum(np.maximum(self._usual(len(power), rate), 1e-3 * power), power)
        kept = np.maximum(power - _OVER * self.steady(spectrum, rate), left)
        return inverse(spectrum * np.sqrt(kept / power).astype(np.float32), len(sound))

    def within(self, sound: Sound, donor: Sound, rate: int) -> Sound:
        """The sound with noise of the donor's steady spectrum put in."""
        return sound + _noise_like(self.steady(transform(donor), rate), len(sound))

    def elsewhere(self, rng: np.random.Generator, rate: int) -> Cue:
        """A control: as much sound taken out evenly; noise of the same power put in in another place."""
        return _OtherNoise(self, float(rng.uniform(0.2, 0.8)))

    def steady(self, spectrum: NDArray[np.complex64], rate: int) -> NDArray[np.float32]:
        """The mean power `[bins, 1]` of steady noise in the band, beyond what is usual."""
        power = np.square(np.abs(spectrum[:, 2:-2]))
        low, high = (round(hz * N_FFT / rate) for hz in (self.low_hz, self.high_hz))
        steady = np.zeros((len(power), 1), np.float32)
        # From a quantile of its frames: powers of noise are exponentially distributed.
        steady[low : high + 1, 0] = np.quantile(power[low : high + 1], QUIET_SHARE, axis=1) / _OF_MEAN
        return np.maximum(steady - self._usual(len(power), rate), 0)

    def _usual(self, bins: int, rate: int) -> NDArray[np.float32]:
        usual = np.zeros((bins, 1), np.float32)
        edges = np.round(bands(rate) * N_FFT / rate).astype(int)
        for low, high, level in zip(edges[:-1], edges[1:], self.usual_db, strict=False):
            usual[low : max(high, low + 1)] = 10 ** (level / 10) / _OF_MEAN
        return usual


def bands(rate: int) -> NDArray[np.float64]:
    """The edges in Hz of bands of a sixth of an octave, in which backgrounds are compared."""
    octaves = np.log2(rate / 2 / _BANDS_FROM_HZ)
    edges: NDArray[np.float64] = _BANDS_FROM_HZ * 2.0 ** (np.arange(int(octaves * _BANDS_OCTAVE) + 1) / _BANDS_OCTAVE)
    return edges


@dataclass(frozen=True)
class _OtherNoise(Cue):
    """A background's spectrum moved up by a share of all bins, wrapping from the top to the bottom."""

    background: Background
    moved: float
    kind = "noise"

    @property
    def words(self) -> str:
        """What it is, for people."""
        return "noise of another spectrum"

    def without(self, sound: Sound, rate: int) -> Sound:
        """The sound lowered to the power that it has without the background."""
        without = self.background.without(sound, rate)
        return sound * np.float32(np.linalg.norm(without) / max(float(np.linalg.norm(sound)), 1e-9))

    def within(self, sound: Sound, donor: Sound, rate: int) -> Sound:
        """The sound with noise of the moved spectrum put in."""
        steady = self.background.steady(transform(donor), rate)
        return sound + _noise_like(np.roll(steady, round(self.moved * len(steady)), axis=0), len(sound))

    def elsewhere(self, rng: np.random.Generator, rate: int) -> Cue:
        """Another one."""
        return _OtherNoise(self.background, float(rng.uniform(0.2, 0.8)))


def _noise_like(power: NDArray[np.float32], n: int) -> Sound:
    """Noise `[n]` with a mean power `[bins, 1]`."""
    noise = transform(np.random.default_rng(n).standard_normal(n).astype(np.float32))
    level = np.square(np.abs(noise)).mean()
    return inverse((noise * np.sqrt(power / level)).astype(np.complex64), n)
