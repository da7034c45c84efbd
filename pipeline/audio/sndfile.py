"""Decoding with libsndfile: WAV, FLAC, Ogg Vorbis, Opus, MP3, AIFF and their kin."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator

import numpy as np
import soundfile
from numpy.typing import NDArray

from pipeline.audio.framed import flac_frames
from pipeline.audio.stream import AudioFault, AudioStream, Reason, check_format

_BLOCK_SAMPLES = 1 << 18


def open_sndfile(data: bytes, name: str) -> AudioStream | None:
    """Open a file with libsndfile; None where libsndfile does not know the format or its codec.

    Raises AudioFault("undecodable") when the header gives an absurd rate or number of channels; so do the
    blocks for damaged data, and AudioFault("truncated") for FLAC with fewer samples than its header states.
    """
    _check_wav_header(data, name)
    try:
        file = soundfile.SoundFile(io.BytesIO(data))
    except soundfile.LibsndfileError:
        return None
    check_format(name, file.samplerate, file.channels)
    return AudioStream(file.samplerate, file.channels, _blocks(file, name, flac_frames(data)))


def _blocks(file: soundfile.SoundFile, name: str, stated: int | None) -> Iterator[NDArray[np.float32]]:
    # Reading into a buffer goes by what is in the file; `read(n)` and `blocks()` go by its header's claim.
    buffer = np.empty((max(1, _BLOCK_SAMPLES // file.channels), file.channels), dtype=np.float32)
    n_read = 0
    with file:
        while True:
            try:
                block = file.read(out=buffer)
            except soundfile.LibsndfileError as error:
                reason: Reason = "truncated" if stated is not None and n_read < stated else "undecodable"
                raise AudioFault(reason, f"{name}: {error.error_string}") from error
            if not len(block):
                break
            n_read += len(block)
            yield block
    if stated is not None and n_read < stated:
        raise AudioFault("truncated", f"{name}: its header states {stated} samples, it holds {n_read}")


def _check_wav_header(data: bytes, name: str) -> None:
    """Name an absurd value, where libsndfile would only say that it cannot open the file."""
    if data[:4] != b"RIFF" or data[8:16] != b"WAVEfmt " or len(data) < 28:
        return
    channels, sample_rate = struct.unpack_from("<HI", data, 22)
    check_format(name, sample_rate, channels)
