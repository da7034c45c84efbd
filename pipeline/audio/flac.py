"""Waveform -> FLAC, 16 bits, such that decoding gives back exactly what was quantised."""

from __future__ import annotations

import io

import numpy as np
import soundfile
from numpy.typing import NDArray

# Decoders map the integer k to k / 32768, so that is the grid; +1 itself is not on it.
_STEPS = 32768


def quantise(waveform: NDArray[np.float32]) -> NDArray[np.float32]:
    """Round a waveform `[n]` to the 16-bit grid of `encode_flac`, clipped at the grid's ends."""
    return (pcm_16(waveform) / np.float32(_STEPS)).astype(np.float32)


def encode_flac(waveform: NDArray[np.float32], sample_rate: int) -> bytes:
    """Encode a mono waveform `[n]` as 16-bit FLAC; decoding it gives exactly `quantise(waveform)`.

    Raises ValueError when a sample is NaN or infinite, which no grid can hold.
    """
    buffer = io.BytesIO()
    soundfile.write(buffer, pcm_16(waveform), sample_rate, format="FLAC", subtype="PCM_16")
    return buffer.getvalue()


def pcm_16(waveform: NDArray[np.float32]) -> NDArray[np.int16]:
    """A waveform `[n]` as 16-bit samples, clipped at full scale; raises ValueError if it is not finite or not `[n]`."""
    if waveform.ndim != 1:
        raise ValueError(f"a mono waveform [n] is needed, got the shape {waveform.shape}")
    if not np.isfinite(waveform).all():
        raise ValueError("the waveform has NaN or infinite samples and cannot be written as FLAC")
    scaled = np.rint(waveform.astype(np.float64) * _STEPS)
    return np.clip(scaled, -_STEPS, _STEPS - 1).astype(np.int16)
