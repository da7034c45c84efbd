"""Waveform -> 16-bit FLAC, such that decoding returns exactly the rounded samples."""

from __future__ import annotations

import io

import numpy as np
import soundfile
from numpy.typing import NDArray

from pipeline.audio.pcm import to_pcm

# The encoder's blocks have 4,096 samples by default; players can seek and restart in a file of ten blocks or more.
_BLOCKS, _LONG = 10, 4096
_SMALL_BLOCKS = 0.25


def encode_flac(waveform: NDArray[np.float32], sample_rate: int) -> bytes:
    """Encode a mono waveform `[n]` as 16-bit FLAC; decoding it returns exactly `round_to_pcm(waveform)`.

    Raises ValueError when the waveform is not mono, or a sample is NaN or infinite.
    """
    if waveform.ndim != 1:
        raise ValueError(f"a mono waveform [n] is needed, got the shape {waveform.shape}")
    buffer = io.BytesIO()
    small = {"compression_level": _SMALL_BLOCKS} if len(waveform) < _BLOCKS * _LONG else {}
    soundfile.write(buffer, to_pcm(waveform), sample_rate, format="FLAC", subtype="PCM_16", **small)
    return buffer.getvalue()
