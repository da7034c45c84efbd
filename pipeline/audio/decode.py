"""Bytes of an audio file -> mono float32 at a rate."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import soxr
from numpy.typing import NDArray

from pipeline.audio.containers import stated_end
from pipeline.audio.framed import mp3_end, ogg_unfinished
from pipeline.audio.pyav import open_pyav
from pipeline.audio.sndfile import open_sndfile
from pipeline.audio.stream import AudioFault, AudioStream

__all__ = ["AudioFault", "DecodedAudio", "decode"]

# 32-bit integers that were stored as floats stay below; far above, the power of a spectrum overflows to NaN.
_MAX_PEAK = 1e10


@dataclass(frozen=True)
class DecodedAudio:
    """A mono waveform `[n]`, float32, full scale at 1, and the rate and channels that the file had."""

    waveform: NDArray[np.float32]
    sample_rate_in: int
    channels_in: int


def decode(data: bytes, name: str, sample_rate: int, max_seconds: float = 3600.0) -> DecodedAudio:
    """Decode an audio file to mono (the mean of its channels) at `sample_rate` in Hz.

    The result depends on nothing but the bytes and `sample_rate`; `name` stands in messages only. Decoding, mixing and
    resampling go block by block, so memory is bounded by `max_seconds` of output, whatever the header claims.
    Raises AudioFault, with a reason, when the file is empty, not audio, truncated, longer than `max_seconds`,
    undecodable, without samples, or with samples that are NaN, infinite or absurdly large.
    """
    if not data:
        raise AudioFault("empty", f"{name}: the file has no bytes")
    _check_complete(data, name)
    stream = open_sndfile(data, name) or open_pyav(data, name)
    waveform = _mix_and_resample(stream, name, sample_rate, max_seconds)
    return DecodedAudio(waveform, stream.sample_rate, stream.channels)


def _check_complete(data: bytes, name: str) -> None:
    end = mp3_end(data) or stated_end(data)
    if end is not None and end > len(data):
        raise AudioFault("truncated", f"{name}: its header states {end} bytes, the file has {len(data)}")
    if ogg_unfinished(data):
        raise AudioFault("truncated", f"{name}: the Ogg stream stops before its end-of-stream page")


def _mix_and_resample(stream: AudioStream, name: str, sample_rate: int, max_seconds: float) -> NDArray[np.float32]:
    resampler = (
        soxr.ResampleStream(stream.sample_rate, sample_rate, 1, dtype="float32", quality="HQ")
        if stream.sample_rate != sample_rate
        else None
    )
    resampled: list[NDArray[np.float32]] = []
    frames_in = 0
    for block in stream.blocks:
        frames_in += len(block)
        if frames_in > max_seconds * stream.sample_rate:
            raise AudioFault(
                "too_long", f"{name}: it is longer than {max_seconds:g} s, the longest recording that is accepted"
            )
        mono = block.mean(axis=1, dtype=np.float64).astype(np.float32)
        if not np.isfinite(mono).all():
            raise AudioFault("non_finite", f"{name}: it has NaN or infinite samples")
        peak = float(np.abs(mono).max(initial=0.0))
        if peak > _MAX_PEAK:
            raise AudioFault("undecodable", f"{name}: its samples reach {peak:.0e} times full scale")
        resampled.append(resampler.resample_chunk(mono) if resampler else mono)
    if not frames_in:
        raise AudioFault("no_samples", f"{name}: the file is well formed but holds no samples")
    if resampler:
        resampled.append(resampler.resample_chunk(np.empty(0, np.float32), last=True))
    waveform = np.concatenate(resampled)
    if not len(waveform):
        # Less than half a sample at the new rate; a recording that holds sound has at least one sample.
        waveform = np.zeros(1, dtype=np.float32)
    return waveform
