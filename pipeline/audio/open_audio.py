"""Which decoder reads a file: libsndfile if it reads to the end; FFmpeg all others, and what libsndfile leaves."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from pipeline.audio.chained import is_uneven, open_chained
from pipeline.audio.containers import Wave, read_wave, stated_end
from pipeline.audio.framed import OggPages, end_of_frames, flac_joined, mp3_header, ogg_pages
from pipeline.audio.open_sizes import with_sizes
from pipeline.audio.pyav import open_pyav
from pipeline.audio.sndfile import BrokenError, open_sndfile, reads_to_the_end
from pipeline.audio.stream import LFS_POINTER, AudioFault, AudioStream, Damage, check_format, read_at, size_of

# How far libsndfile's file position may be ahead of, or behind, the last frame that it decoded.
_UNREAD_BYTES = 2048
_UNEVEN = Damage("joined", "its streams differ in rate or channels, and so do decoders in what they make of it", 0.0)
_JOINED = Damage("joined", "another FLAC file begins inside it, and decoders differ in what they make of it", 0.0)


def open_audio(file: BinaryIO, name: str) -> tuple[AudioStream, list[Damage]]:
    """Open a seekable file with the decoder that reads it to its end; also return the damage that is already known.

    Raises AudioFault when the file is empty, not audio, a pointer to a file, or without samples.
    """
    size = size_of(file)
    if not size:
        raise AudioFault("empty", f"{name}: the file has no bytes")
    if read_at(file, 0, len(LFS_POINTER)) == LFS_POINTER:
        raise AudioFault("lfs_pointer", f"{name}: it is a pointer of git LFS, not the recording: run `git lfs pull`")
    file = with_sizes(file)
    wave = read_wave(file)
    if wave is not None:
        # Checked here, as libsndfile would only say that it cannot open the file.
        check_format(name, wave.sample_rate, wave.channels)
    pages = ogg_pages(file)
    known = _missing(file, size, pages, wave)
    if pages is not None and is_uneven(pages):
        return open_chained(file, name, pages), [*known, _UNEVEN]
    if _JOINED not in known and reads_to_the_end(file, pages):
        stream = open_sndfile(file, name)
        if stream is not None:
            blocks = partial(_to_the_end, stream, file, name)
            return replace(stream, blocks=blocks), known
    try:
        stream = open_pyav(file, name)
    except AudioFault as fault:
        if known and fault.reason in ("not_audio", "no_samples", "undecodable"):
            raise AudioFault(known[0].reason, f"{name}: {known[0].message}") from fault
        other = open_sndfile(file, name) if fault.reason == "not_audio" else None
        if other is None:
            raise
        # Its own idea of the length may be a guess.
        return replace(other, blocks=partial(_as_far_as_it_goes, other), stated=None), known
    if wave is not None and wave.plain and wave.size:
        # For a truncated file FFmpeg states only what is there.
        stream = replace(stream, stated=wave.size // wave.frame_bytes)
    return stream, known


def _missing(file: BinaryIO, size: int, pages: OggPages | None, wave: Wave | None) -> list[Damage]:
    """Return the damage that a file's own headers and pages reveal."""
    header = mp3_header(file)
    end = header.end if header is not None else stated_end(file)
    if wave is not None and wave.plain and end is not None:
        # Some headers count bytes that do not make up a whole frame.
        end -= (end - wave.begin) % wave.frame_bytes
    if end is not None and end > size:
        return [Damage("truncated", f"its header states {end} bytes, the file has {size}")]
    if read_at(file, 0, 4) == b"fLaC" and flac_joined(file) is not None:
        return [_JOINED]
    if pages is not None and pages.damaged:
        what = "a page of it is" if pages.damaged == 1 else f"{pages.damaged} pages of it are"
        return [Damage("damaged", f"{what} damaged", 0.0)]
    if pages is not None and pages.breaks:
        where = "one place" if pages.breaks == 1 else f"{pages.breaks} places"
        return [Damage("damaged", f"pages of it are missing or repeated at {where}", 0.0)]
    if pages is not None and pages.cut:
        return [Damage("truncated", "the Ogg stream stops inside a page")]
    return []


def _as_far_as_it_goes(stream: AudioStream, start: int) -> Iterator[NDArray[np.float32] | Damage]:
    """Yield the blocks of libsndfile, for a format that FFmpeg does not know."""
    # libsndfile says why, and the length that is stated says what is missing.
    with suppress(BrokenError):
        yield from stream.blocks(start)


def _to_the_end(stream: AudioStream, file: BinaryIO, name: str, start: int) -> Iterator[NDArray[np.float32] | Damage]:
    """Yield the blocks of libsndfile, then those of FFmpeg from where libsndfile fails, or stops before the end."""
    at = start
    if stream.stated is not None and start >= stream.stated:
        return
    try:
        for block in stream.blocks(start):
            if not isinstance(block, Damage):
                at += len(block)
            yield block
        place, head = file.tell(), read_at(file, 0, 4)
        if head in (b"RIFF", b"RF64", b"OggS") or end_of_frames(file) - place <= _UNREAD_BYTES:
            return
        if head == b"fLaC":
            yield _JOINED
    except BrokenError:
        if stream.seekable:
            # By its header and its last frame the file is whole, so the damage lies before its end; its position has to
            # be known, as seeking beyond it does not work. For other files the header may be wrong: FFmpeg reports it.
            seconds = at / stream.sample_rate
            yield Damage("damaged", f"a piece of it after {seconds:.2f} s could not be decoded", seconds)
    rest = open_pyav(file, name)
    if (rest.sample_rate, rest.channels) != (stream.sample_rate, stream.channels):
        raise AudioFault("undecodable", f"{name}: two decoders give it different rates or channels")
    yield from rest.blocks(at)
