"""Cues that a classifier may listen to in place of the event: each can be taken out of a sound, and put into others."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import scipy.fft
from numpy.typing import NDArray

Sound = NDArray[np.float32]

# Windows of the short-time spectrum that steady sound is taken out of: 4096 samples, a quarter apart.
N_FFT, HOP = 4096, 1024
# A bin that has no more than so much of its steady level is steady; a share of the frames lies below that level.
_STEADY_SHARE, _OVER = 0.3, 3.0
_FADE_S = 0.005


class Cue(ABC):
    """A part of a sound that may be what a classifier listens to, at a rate in Hz."""

    kind: str

    @property
    @abstractmethod
    def words(self) -> str:
        """What it is, for people."""

    @abstractmethod
    def without(self, sound: Sound, rate: int) -> Sound:
        """The sound `[n]` with the cue taken out."""

    @abstractmethod
    def elsewhere(self, rng: np.random.Generator, rate: int) -> Cue:
        """A cue of the same size in another place, drawn by chance."""

    def of(self, donor: Sound, rate: int) -> Sound:
        """What the cue is in a sound `[n]`: what is taken out of it."""
        return donor - self.without(donor, rate)

    def within(self, sound: Sound, donor: Sound, rate: int) -> Sound:
        """The sound `[n]` with the cue of a donor `[n]` put in."""
        return sound + self.of(donor, rate)

    def evidence(self) -> dict[str, Any]:
        """What it is, for programs."""
        return {"cue": self.kind, **vars(self)}


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
        gain = np.ones_like(power)
        for hz in self.hz:
            middle = round(hz * N_FFT / rate)
            here = slice(max(1, middle - 3), middle + 4)
            beside = np.r_[max(1, middle - 12) : max(1, middle - 4), middle + 5 : min(middle + 13, power.shape[0])]
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
        """The amplitude of each tone in a sound, as its quieter frames have it."""
        magnitude = np.abs(transform(donor))
        scale = 2.0 / _window().sum()
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


@dataclass(frozen=True)
class Edge(Cue):
    """The first seconds of a recording, or the last: a click, a beep, a cut."""

    seconds: float
    at: str = "start"
    kind = "edge"

    @property
    def words(self) -> str:
        """What it is, for people."""
        return f"the {'first' if self.at == 'start' else 'last'} {1000 * self.seconds:.0f} ms"

    def without(self, sound: Sound, rate: int) -> Sound:
        """The sound with silence there, and a short fade beside."""
        return sound * self._gain(len(sound), rate)

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
    """A stretch of so many seconds that begins at a share of the sound."""

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


@dataclass(frozen=True)
class Background(Cue):
    """The steady sound behind a recording: noise that does not change with time.

    With `moved`, its spectrum is that much further up, beyond the top again at the bottom: another of the same power.
    """

    low_hz: float
    high_hz: float
    moved: float = 0.0
    kind = "background"

    @property
    def words(self) -> str:
        """What it is, for people."""
        return f"a steady background from {self.low_hz:.0f} to {self.high_hz:.0f} Hz"

    def without(self, sound: Sound, rate: int) -> Sound:
        """The sound without what is steady in that band, by spectral subtraction."""
        spectrum = transform(sound)
        steady = self._steady(spectrum, rate)
        power = np.square(np.abs(spectrum))
        # Beside what was moved there, a bin's own level does not matter.
        gain = np.sqrt(np.maximum(1 - _OVER * steady / np.maximum(power, 1e-20), 1e-3))
        return inverse(spectrum * self._rolled(gain.astype(np.float32)), len(sound))

    def within(self, sound: Sound, donor: Sound, rate: int) -> Sound:
        """The sound with noise of the donor's steady spectrum put in."""
        steady = self._rolled(self._steady(transform(donor), rate))
        noise = transform(np.random.default_rng(len(sound)).standard_normal(len(sound)).astype(np.float32))
        level = np.square(np.abs(noise)).mean()
        return sound + inverse((noise * np.sqrt(steady / level)).astype(np.complex64), len(sound))

    def elsewhere(self, rng: np.random.Generator, rate: int) -> Cue:
        """The same spectrum in another place."""
        return Background(self.low_hz, self.high_hz, float(rng.uniform(0.2, 0.8)))

    def _steady(self, spectrum: NDArray[np.complex64], rate: int) -> NDArray[np.float32]:
        """The mean power `[bins, 1]` of steady noise in the band, by the level that a share of its frames lie below."""
        power = np.square(np.abs(spectrum[:, 2:-2]))
        low, high = (round(hz * N_FFT / rate) for hz in (self.low_hz, self.high_hz))
        steady = np.zeros((len(power), 1), np.float32)
        steady[low : high + 1, 0] = np.quantile(power[low : high + 1], _STEADY_SHARE, axis=1)
        return steady / np.float32(-np.log(1 - _STEADY_SHARE))

    def _rolled(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.roll(values, round(self.moved * len(values)), axis=0) if self.moved else values


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
        """The sound with faint noise above, at the level that the spectrum has below the edge."""
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
        """A gap of a third of an octave below the edge."""
        high = self.hz * 2.0 ** -rng.uniform(0.5, 3.0)
        return _Gap(float(high / 2 ** (1 / 3)), float(high))


@dataclass(frozen=True)
class _Gap(Cue):
    """A band without sound."""

    low_hz: float
    high_hz: float
    kind = "gap"

    @property
    def words(self) -> str:
        """What it is, for people."""
        return f"a gap from {self.low_hz:.0f} to {self.high_hz:.0f} Hz"

    def without(self, sound: Sound, rate: int) -> Sound:
        """The sound as it is: there is no gap in it."""
        return sound

    def within(self, sound: Sound, donor: Sound, rate: int) -> Sound:
        """The sound with the band taken out."""
        spectrum = transform(sound)
        low, high = (round(hz * N_FFT / rate) for hz in (self.low_hz, self.high_hz))
        spectrum[low : high + 1] *= np.float32(1e-3)
        return inverse(spectrum, len(sound))

    def elsewhere(self, rng: np.random.Generator, rate: int) -> Cue:
        """Another gap."""
        factor = 2.0 ** rng.uniform(-1, 1)
        return _Gap(self.low_hz * factor, self.high_hz * factor)


@lru_cache(maxsize=1)
def _window() -> NDArray[np.float32]:
    # Periodic, so that shifted by a quarter its squares sum up to the same everywhere.
    return np.hanning(N_FFT + 1)[:-1].astype(np.float32)


def transform(sound: Sound) -> NDArray[np.complex64]:
    """The short-time spectrum `[N_FFT / 2 + 1, frames]` of a sound `[n]`."""
    padded = np.pad(sound, (N_FFT, N_FFT + -len(sound) % HOP))
    frames = np.lib.stride_tricks.sliding_window_view(padded, N_FFT)[::HOP]
    return np.asarray(scipy.fft.rfft(frames * _window(), axis=1).T, np.complex64)


def inverse(spectrum: NDArray[np.complex64], n: int) -> Sound:
    """The sound `[n]` of a short-time spectrum that `transform` made."""
    frames = scipy.fft.irfft(spectrum.T, n=N_FFT, axis=1) * _window()
    length = (len(frames) - 1) * HOP + N_FFT
    total = np.zeros(length, np.float32)
    for start in range(N_FFT // HOP):
        piece = frames[start :: N_FFT // HOP]
        begin = start * HOP
        flat = piece.reshape(-1)
        total[begin : begin + len(flat)] += flat
    # Squares of a Hann window a quarter apart sum up to 3 / 2.
    return (total[N_FFT : N_FFT + n] / np.float32(1.5)).astype(np.float32)
