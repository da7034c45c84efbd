"""Decoding with libsndfile, if it is known to read to the end: plain WAV, FLAC, Ogg Vorbis, MP3 with a header."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
import soundfile
from numpy.typing import NDArray

from pipeline.audio.containers import read_wave
from pipeline.audio.framed import (
    OggPages,
    end_of_frames,
    flac_first_frame,
    flac_frames,
    flac_last_frame,
    mp3_header,
)
from pipeline.audio.stream import AudioStream, check_format, read_at, size_of
from pipeline.audio.vorbis import counts_from_0, counts_to_the_end

_BLOCK_SAMPLES = 1 << 18
_PLAIN = {("WAV", subtype) for subtype in ("PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "ALAW")}
_SEEKABLE = {*_PLAIN, *(("RF64", subtype) for _, subtype in _PLAIN), *(("WAVEX", subtype) for _, subtype in _PLAIN)}


class BrokenError(Exception):
    """libsndfile cannot go on: there may be more in the file."""


def reads_to_the_end(file: BinaryIO, pages: OggPages | None) -> bool:
    """Whether libsndfile decodes all of a file, judged by the file's headers and its `pages`.

    libsndfile stops, without an error, at its own estimate of a file's length, after the first of several joined
    files, and at the length that a header states.
    """
    head = read_at(file, 0, 4)
    if head in (b"RIFF", b"RF64"):
        wave = read_wave(file)
        return wave is not None and wave.plain and wave.size is not None and wave.begin + wave.size <= size_of(file)
    if head == b"fLaC":
        stated = flac_frames(file)
        # libsndfile finds its place by the frames' numbers, which start from 0 only if no frames were cut off.
        return stated is not None and flac_first_frame(file) == 0 and flac_last_frame(file) == stated
    if pages is not None:
        whole = pages.ended and not (pages.cut or pages.damaged or pages.breaks or pages.late)
        one = whole and pages.alone and len(pages.links) == 1
        # libsndfile leaves out what lies before the first counted sample, and after the last.
        return one and pages.forms[0][:7] == b"\x01vorbis" and counts_from_0(file) and counts_to_the_end(file)
    header = mp3_header(file)
    return header is not None and header.frames is not None and header.end == end_of_frames(file)


def open_sndfile(file: BinaryIO, name: str) -> AudioStream | None:
    """Open a file with libsndfile; None if libsndfile does not know the format or its codec.

    Raises AudioFault("undecodable") when the header states an absurd rate or number of channels. The blocks raise
    BrokenError if libsndfile stops before the length that it states.
    """
    file.seek(0)
    try:
        sound = soundfile.SoundFile(file)
    except soundfile.LibsndfileError:
        return None
    check_format(name, sound.samplerate, sound.channels)

    def blocks(start: int) -> Iterator[NDArray[np.float32]]:
        most = max(1, _BLOCK_SAMPLES // sound.channels)
        at = sound.seek(min(start, sound.frames)) if start else 0
        while at < sound.frames:
            try:
                # No more than the stated length: else libsndfile decodes what follows, and throws it away. Blocks end
                # at the same places wherever reading began, so that damage is met at the same places.
                n = min(most - at % most, sound.frames - at)
                block = sound.read(out=np.empty((n, sound.channels), np.float32))
            except soundfile.LibsndfileError as error:
                raise BrokenError(error.error_string) from error
            if not len(block):
                raise BrokenError("it ends early")
            at += len(block)
            yield block

    kind = (sound.format, sound.subtype)
    # The length is exact: any shortfall was lost.
    seekable = kind in _SEEKABLE or kind[0] == "FLAC"
    return AudioStream(sound.samplerate, sound.channels, sound.frames, blocks, seekable, slack_s=0.0)
