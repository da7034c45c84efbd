"""Repair headers with sizes left open in a form that FFmpeg takes for no sound: RF64 and AU of 0 bytes, open W64."""

from __future__ import annotations

import struct
from typing import BinaryIO

from pipeline.audio.containers import OPEN_32, read_wave
from pipeline.audio.ranges import ranged_file, read_range
from pipeline.audio.stream import read_at, size_of

_AU_OPEN = b"\xff\xff\xff\xff"
_W64_RIFF = b"riff\x2e\x91\xcf\x11"


def with_sizes(file: BinaryIO) -> BinaryIO:
    """Return a file as it is, or with a header that says that its sound goes on to the end of the file.

    A recorder that crashed leaves a size of 0, a writer into a pipe leaves 0 or all ones. FFmpeg reads a plain WAV with
    such a size to its end, and these formats not at all.
    """
    head = read_at(file, 0, 24)
    patches: dict[int, bytes] = {}
    if head[:4] in (b"RF64", b"BW64") and head[8:12] == b"WAVE":
        wave = read_wave(file)
        if wave is not None and wave.size is None:
            # Turned into a WAV of open size, in which the chunk of 64-bit sizes is made one to ignore.
            patches = {0: b"RIFF", wave.begin - 4: b"\xff\xff\xff\xff"}
            if read_at(file, 12, 4) == b"ds64":
                patches[12] = b"JUNK"
    elif head[:4] == b".snd" and len(head) == 24:
        begin, size = struct.unpack_from(">II", head, 4)
        if (size == 0 or size >= OPEN_32) and begin < size_of(file):
            patches = {8: _AU_OPEN}
    elif head[:8] == _W64_RIFF and len(head) == 24 and head[23] & 0x80:
        patches = {16: struct.pack("<Q", size_of(file))}
    return _patched(file, patches) if patches else file


def _patched(file: BinaryIO, patches: dict[int, bytes]) -> BinaryIO:
    """Return the file with other bytes at some offsets."""

    def fetch(at: int, size: int) -> bytes:
        data = bytearray(read_range(file, at, size))
        for place, words in patches.items():
            for offset, byte in enumerate(words, start=place - at):
                if 0 <= offset < len(data):
                    data[offset] = byte
        return bytes(data)

    return ranged_file(size_of(file), fetch)
