"""Decoding with FFmpeg's libraries, where libsndfile has no codec: m4a, aac, webm, wma and their kin."""

from __future__ import annotations

import io
from collections.abc import Iterator

import av
import numpy as np
from numpy.typing import NDArray

from pipeline.audio.stream import AudioFault, AudioStream, check_format

# Playlists and scripts (hls, concat, dash...) can name other files and hosts: only self-contained demuxers.
_DEMUXERS = (
    "mov,matroska,webm,aac,asf,amr,wv,ape,tta,tak,mpc,mpc8,ac3,eac3,dts,mp3,flac,ogg,wav,aiff,au,caf,w64,"
    "flv,mpegts,mpeg,avi,rm,dsf,loas"
)
_OPTIONS = {"format_whitelist": _DEMUXERS, "protocol_whitelist": "none"}


def open_pyav(data: bytes, name: str) -> AudioStream:
    """Open a file's first audio stream with FFmpeg.

    Raises AudioFault: "not_audio" when no demuxer knows it or it holds no audio stream, "undecodable" when
    there is no decoder for it or its format is absurd, "out_of_memory" when a header asks for more than FFmpeg gets.
    """
    try:
        container = av.open(io.BytesIO(data), mode="r", options=_OPTIONS)
    except (av.error.FFmpegError, ValueError) as error:
        if isinstance(error, MemoryError):
            raise _out_of_memory(name) from error
        raise AudioFault("not_audio", f"{name}: no decoder knows this format ({_message(error)})") from error
    if not container.streams.audio:
        container.close()
        raise AudioFault("not_audio", f"{name}: it holds no audio stream")
    frames = _frames(container, name)
    first = next(frames, None)
    if first is None:
        container.close()
        raise AudioFault("no_samples", f"{name}: its audio stream holds no samples")
    # The decoder knows better than the header: with HE-AAC the header gives half the rate.
    sample_rate, channels = first.sample_rate, first.layout.nb_channels
    check_format(name, sample_rate, channels)
    return AudioStream(sample_rate, channels, _blocks(first, frames, name))


def _frames(container: av.container.InputContainer, name: str) -> Iterator[av.AudioFrame]:
    with container:
        try:
            yield from container.decode(audio=0)
        except (av.error.FFmpegError, ValueError) as error:
            if isinstance(error, MemoryError):
                raise _out_of_memory(name) from error
            raise AudioFault("undecodable", f"{name}: {_message(error)}") from error


def _blocks(first: av.AudioFrame, frames: Iterator[av.AudioFrame], name: str) -> Iterator[NDArray[np.float32]]:
    planar = av.AudioResampler(format="fltp")
    frame: av.AudioFrame | None = first
    while frame is not None:
        if (frame.sample_rate, frame.layout.nb_channels) != (first.sample_rate, first.layout.nb_channels):
            raise AudioFault(
                "undecodable",
                f"{name}: midway its format changes from {first.layout.nb_channels} channels at "
                f"{first.sample_rate} Hz to {frame.layout.nb_channels} at {frame.sample_rate} Hz",
            )
        yield from _samples(planar.resample(frame))
        frame = next(frames, None)
    yield from _samples(planar.resample(None))


def _samples(planar: list[av.AudioFrame]) -> Iterator[NDArray[np.float32]]:
    return (frame.to_ndarray().T.astype(np.float32, copy=False) for frame in planar)


def _out_of_memory(name: str) -> AudioFault:
    return AudioFault("out_of_memory", f"{name}: decoding it takes more memory than there is")


def _message(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)
