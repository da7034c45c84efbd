"""The short-time spectrum in which cues are taken out of sounds."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from pipeline.audit.shortcuts.cues.cue import Sound

# Windows of 4096 samples, a quarter apart.
N_FFT, HOP = 4096, 1024


@lru_cache(maxsize=1)
def hann() -> NDArray[np.float32]:
    # Periodic, so that its squares, shifted by quarters, sum to a constant.
    return np.hanning(N_FFT + 1)[:-1].astype(np.float32)


def transform(sound: Sound) -> NDArray[np.complex64]:
    """The short-time spectrum `[N_FFT / 2 + 1, frames]` of a sound `[n]`."""
    padded = np.pad(sound, (N_FFT, N_FFT + -len(sound) % HOP))
    frames = np.lib.stride_tricks.sliding_window_view(padded, N_FFT)[::HOP]
    return np.asarray(scipy.fft.rfft(frames * hann(), axis=1).T, np.complex64)


def inverse(spectrum: NDArray[np.complex64], n: int) -> Sound:
    """The sound `[n]` of a short-time spectrum that `transform` made."""
    frames = scipy.fft.irfft(spectrum.T, n=N_FFT, axis=1) * hann()
    length = (len(frames) - 1) * HOP + N_FFT
    total = np.zeros(length, np.float32)
    for start in range(N_FFT // HOP):
        piece = frames[start :: N_FFT // HOP]
        begin = start * HOP
        flat = piece.reshape(-1)
        total[begin : begin + len(flat)] += flat
    # Squares of a Hann window a quarter apart sum to 3 / 2.
    return (total[N_FFT : N_FFT + n] / np.float32(1.5)).astype(np.float32)
