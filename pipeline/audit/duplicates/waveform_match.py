"""Whether two sounds are copies: where their waveforms agree best, how far, and whether over the whole spectrum.

The lag comes from a cross-correlation of whitened spectra (generalised cross-correlation with phase transform; Knapp
and Carter, 1976): each bin counts alike, so that the lag of a copy is a single sharp peak, while a hum or a tone that
two sounds share is a few bins among thousands, and a rhythm that they share has many peaks. At that lag the waveforms
themselves are correlated. Gain and polarity play no part in either.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import scipy.fft
from numpy.typing import NDArray

RATE = 8000
# What makes a copy, see docs/duplicates.md: correlation of the waveforms, height of the whitened peak as a share of the
# spectrum and relative to the next peak, and the share of both sounds' energy that lies where they overlap.
MIN_CORRELATION, MIN_PEAK, MIN_DISTINCT, MIN_ENERGY = 0.7, 0.15, 2.0, 0.2
# Or, instead of the correlation, pieces that agree nearly fully for this many seconds and this share of the shorter
# sound: two recordings may be cut together from the same one.
_PIECE_S, _PIECE_CORRELATION = 0.25, 0.9
MIN_AGREES_S, MIN_AGREES = 1.0, 0.2
# The overlap is at least this share of the shorter sound.
_MIN_OVERLAP = 0.5
# Below this lie hum and rumble; a bin this far below the mean is rounding error, and its phase means nothing.
_LOWEST_HZ, _ROUNDING = 60.0, 1e-3
# The width of a peak, and fades at both ends: hard ends are clicks at the same place in all sounds.
_PEAK_S, _FADE_S = 0.01, 0.1
# Fractional lags that are tried: at a wrong fraction the highest frequencies cancel.
_STEPS, _REACH = 8, 64
_LAGS = np.arange(-3 * _STEPS // 2, 3 * _STEPS // 2 + 1)[:, None] / _STEPS - np.arange(-_REACH, _REACH + 1)
# Interpolation between samples: a tapered sinc.
_INTERPOLATION = np.sinc(_LAGS) * np.cos(np.pi / 2 * np.clip(_LAGS / (_REACH + 2), -1, 1)) ** 2


@dataclass(frozen=True)
class Match:
    """Two sounds at the lag where they agree best: the second's time plus `lag_s` is the first's.

    `correlation` is that of the waveforms in [0, 1], `peak` the share of the spectrum that agrees, `distinct` its ratio
    to the next peak, `energy` the share of both sounds' energy that lies in the overlap. `agrees_s` are the
    seconds of the overlap in which pieces of a quarter of a second correlate by 0.9 or more, `agrees` their share of
    the shorter sound; both are 0 where the result is clear without them.
    """

    correlation: float
    lag_s: float
    peak: float
    distinct: float
    energy: float
    agrees_s: float = 0.0
    agrees: float = 0.0

    @property
    def is_copy(self) -> bool:
        """Whether all criteria of a copy are met."""
        in_part = self.agrees_s >= MIN_AGREES_S and self.agrees >= MIN_AGREES
        return (
            (self.correlation >= MIN_CORRELATION or in_part)
            and self.peak >= MIN_PEAK
            and self.distinct >= MIN_DISTINCT
            and self.energy >= MIN_ENERGY
        )


NO_MATCH = Match(0.0, 0.0, 0.0, 0.0, 0.0)


@dataclass
class Sound:
    """Samples `[n]` at RATE, less their mean, and their whitened spectrum at the length last asked for."""

    samples: NDArray[np.float32]
    _spectrum: tuple[int, NDArray[np.complex64]] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if len(self.samples):
            self.samples = self.samples - self.samples.mean(dtype=np.float64).astype(np.float32)

    @cached_property
    def energy_until(self) -> NDArray[np.float64]:
        """Energy before each sample `[n + 1]`."""
        return np.concatenate([[0.0], np.cumsum(np.square(self.samples, dtype=np.float64))])

    def whitened(self, n_fft: int) -> NDArray[np.complex64]:
        """The spectrum `[n_fft / 2 + 1]` with all magnitudes 1, 0 below the lowest frequency."""
        if self._spectrum is None or self._spectrum[0] != n_fft:
            samples, n = self.samples.copy(), min(round(_FADE_S * RATE), len(self.samples) // 4)
            fade = (0.5 - 0.5 * np.cos(np.pi * (np.arange(n) + 0.5) / max(n, 1))).astype(np.float32)
            samples[:n] *= fade
            samples[len(samples) - n :] *= fade[::-1]
            spectrum = scipy.fft.rfft(samples, n_fft)
            magnitude = np.abs(spectrum)
            floor = _ROUNDING * float(np.sqrt(np.mean(np.square(magnitude, dtype=np.float64)))) + 1e-20
            spectrum /= np.maximum(magnitude, np.float32(floor))
            spectrum[: _lowest_bin(n_fft)] = 0
            self._spectrum = n_fft, spectrum
        return self._spectrum[1]


def match(one: Sound, other: Sound) -> Match:
    """Compare two sounds of any length; NO_MATCH where one of them is silent."""
    a, b = one.samples, other.samples
    if not len(a) or not len(b) or not one.energy_until[-1] > 0 or not other.energy_until[-1] > 0:
        return NO_MATCH
    n_fft = _points(len(a) + len(b))
    agreement = scipy.fft.irfft(one.whitened(n_fft) * np.conj(other.whitened(n_fft)), n_fft)
    heights = np.abs(agreement, out=agreement)
    # Lags from -(longest) to the longest at which enough of both overlaps.
    shorter = min(len(a), len(b))
    least = max(1, round(_MIN_OVERLAP * shorter))
    low, high = least - len(b), len(a) - least
    heights = np.concatenate([heights[low:], heights[: high + 1]]) if low < 0 else heights[low : high + 1]
    place = int(heights.argmax())
    lag, width = low + place, round(_PEAK_S * RATE)
    peak = float(heights[place])
    beside = max(heights[: max(0, place - width)].max(initial=0.0), heights[place + width + 1 :].max(initial=0.0))
    bins = n_fft // 2 + 1 - _lowest_bin(n_fft)
    distinct = peak / max(float(beside), 1e-12)
    share = peak * n_fft / (2 * bins)
    start, stop = max(0, lag), min(len(a), len(b) + lag)
    energies = [
        float(sound.energy_until[stop - shift] - sound.energy_until[start - shift])
        for sound, shift in ((one, 0), (other, lag))
    ]
    energy = min(part / sound.energy_until[-1] for part, sound in zip(energies, (one, other), strict=True))
    # A pair that fails here is no copy in any case, and most pairs do: the costly part is skipped.
    if share < MIN_PEAK or distinct < MIN_DISTINCT or min(energies) <= 0:
        return Match(0.0, lag / RATE, share, distinct, float(energy))
    a, b = a[start:stop], b[start - lag : stop - lag]
    product, fraction = _between_samples(a, b)
    correlation = min(1.0, product / float(np.sqrt(np.prod(energies))))
    found = Match(correlation, lag / RATE, share, distinct, float(energy))
    if correlation >= MIN_CORRELATION:
        return found
    agreeing = _agreeing_pieces(a, _moved(b, fraction))
    return replace(found, agrees_s=agreeing * _PIECE_S, agrees=agreeing * _PIECE_S * RATE / shorter)


def _between_samples(a: NDArray[np.float32], b: NDArray[np.float32]) -> tuple[float, float]:
    """The largest absolute dot product of two pieces, one moved by up to a sample and a half, and by how much."""
    n_fft = _points(len(a) + 2 * _REACH)
    products = scipy.fft.irfft(scipy.fft.rfft(a, n_fft) * np.conj(scipy.fft.rfft(b, n_fft)), n_fft)
    between = np.abs(_INTERPOLATION @ np.concatenate([products[-_REACH:], products[: _REACH + 1]]))
    best = int(between.argmax())
    return float(between[best]), (best - len(between) // 2) / _STEPS


def _moved(sound: NDArray[np.float32], samples: float) -> NDArray[np.float32]:
    """A sound `[n]` delayed by a fraction of a sample."""
    n_fft = _points(len(sound) + 2 * _REACH)
    turn = np.exp(-2j * np.pi / n_fft * samples * np.arange(n_fft // 2 + 1)).astype(np.complex64)
    moved: NDArray[np.float32] = scipy.fft.irfft(scipy.fft.rfft(sound, n_fft) * turn, n_fft)[: len(sound)]
    return moved


def _agreeing_pieces(a: NDArray[np.float32], b: NDArray[np.float32]) -> int:
    """How many pieces of two sounds `[n]` of one length correlate nearly fully."""
    length = round(_PIECE_S * RATE)
    whole = len(a) // length * length
    a, b = a[:whole].reshape(-1, length), b[:whole].reshape(-1, length)
    energies = np.einsum("pn,pn->p", a, a) * np.einsum("pn,pn->p", b, b)
    products = np.abs(np.einsum("pn,pn->p", a, b))
    return int(((products >= _PIECE_CORRELATION * np.sqrt(energies)) & (energies > 0)).sum())


def _points(least: int) -> int:
    """A fast FFT length of at least this many points; few different ones, so that spectra can be reused."""
    step = 1 << max(0, int(least - 1).bit_length() - 3)
    return int(scipy.fft.next_fast_len(-(-least // step) * step, real=True))


def _lowest_bin(n_fft: int) -> int:
    return int(np.ceil(_LOWEST_HZ * n_fft / RATE))
