"""Where a container says that its audio ends, so that a truncated file is not taken for a short recording.

Decoders do not report a missing end. Only what a file states about itself is read here; sizes that streaming
writers leave open (0, or all ones) state nothing, and a file that states nothing is never called truncated.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import BinaryIO, NamedTuple

from pipeline.audio.stream import read_at, size_of

# A writer that cannot seek back leaves the largest size it knows; SoX writes 0x7F000000 (AIFF) or 0x7FFFF000 (WAV) and
# above.
OPEN_32 = 0x7F000000
# The boxes allowed at the top level of an MP4 file; anything else is a tag appended to it.
_MP4_BOXES = frozenset(
    {
        *(b"ftyp", b"styp", b"moov", b"mdat", b"moof", b"mfra", b"free", b"skip", b"wide", b"uuid"),
        *(b"meta", b"udta", b"sidx", b"ssix", b"prft", b"emsg", b"pnot", b"pdin"),
    }
)
# PCM, floats, A-law, mu-law: formats in which each sample has bytes of its own.
_PLAIN_FORMATS = frozenset({1, 3, 6, 7})
_EXTENSIBLE, _EXTENSIBLE_GUID = 0xFFFE, bytes.fromhex("000000001000800000aa00389b71")


def stated_end(file: BinaryIO) -> int | None:
    """Return the offset in bytes at which the container says its audio ends; None if it does not say.

    A return value larger than the file means that the file is truncated.
    """
    head = read_at(file, 0, 12)
    for magic, offset, walk in _WALKS:
        if head[offset : offset + len(magic)] == magic:
            try:
                return walk(file)
            except (struct.error, IndexError):
                # A header that stops in the middle: the container needs at least one byte more.
                return size_of(file) + 1
    return None


class Wave(NamedTuple):
    """What a WAV or RF64 header says: where its samples begin, their bytes (None if left open), and their format."""

    begin: int
    size: int | None
    format: int
    channels: int
    sample_rate: int
    frame_bytes: int
    bits: int

    @property
    def plain(self) -> bool:
        """Whether every sample has bytes of its own, so that any of them can be read by its place."""
        return (
            self.format in _PLAIN_FORMATS
            and self.bits in (8, 16, 24, 32, 64)
            and self.frame_bytes == self.channels * self.bits // 8
        )


def read_wave(file: BinaryIO) -> Wave | None:
    """Read a WAV or RF64 header up to its samples; None for another file, or without a format before the samples."""
    try:
        return _wave(file)
    except (struct.error, IndexError):
        return None


def _wave(file: BinaryIO) -> Wave | None:
    head = read_at(file, 0, 12)
    if head[:4] not in (b"RIFF", b"RF64", b"BW64") or head[8:] != b"WAVE":
        return None
    data = _riff_data(file, "<")
    if data is None or data.format is None:
        return None
    return _format(data.format)._replace(begin=data.begin, size=data.size)


class _RiffData(NamedTuple):
    """Where the samples begin, their stated size in bytes, and the contents of the `fmt ` chunk before them."""

    begin: int
    size: int | None
    format: bytes | None


def _riff_data(file: BinaryIO, order: str) -> _RiffData | None:
    position, size_64, end, form = 12, 0, size_of(file), None
    while position + 8 <= end:
        chunk, size = struct.unpack(f"{order}4sI", read_at(file, position, 8))
        if chunk == b"ds64":
            (size_64,) = struct.unpack("<Q", read_at(file, position + 16, 8))
        elif chunk == b"fmt ":
            form = read_at(file, position + 8, 40)
        elif chunk == b"data":
            is_open = size == 0 or (size >= OPEN_32 and not (size == 0xFFFFFFFF and size_64))
            return _RiffData(position + 8, None if is_open else size_64 if size == 0xFFFFFFFF else size, form)
        position += 8 + size + size % 2
    return None


def _format(chunk: bytes) -> Wave:
    kind, channels, rate, _, frame_bytes, bits = struct.unpack_from("<HHIIHH", chunk)
    if kind == _EXTENSIBLE and chunk[26:40] == _EXTENSIBLE_GUID:
        (kind,) = struct.unpack_from("<H", chunk, 24)
    return Wave(0, None, kind, channels, rate, frame_bytes, bits)


def _riff(file: BinaryIO) -> int | None:
    head = read_at(file, 0, 12)
    order = ">" if head[:4] == b"RIFX" else "<"
    if (data := _riff_data(file, order)) is not None:
        return None if data.size is None else data.begin + data.size
    (whole,) = struct.unpack_from(f"{order}I", head, 4)
    return None if whole == 0 or whole >= OPEN_32 else 8 + int(whole)


def _aiff(file: BinaryIO) -> int | None:
    position, end = 12, size_of(file)
    while position + 8 <= end:
        chunk, size = struct.unpack(">4sI", read_at(file, position, 8))
        if chunk == b"SSND":
            return None if size == 0 or size >= OPEN_32 else position + 8 + int(size)
        position += 8 + size + size % 2
    (whole,) = struct.unpack(">I", read_at(file, 4, 4))
    return None if whole == 0 or whole >= OPEN_32 else 8 + int(whole)


def _au(file: BinaryIO) -> int | None:
    offset, size = struct.unpack(">II", read_at(file, 4, 8))
    return None if size == 0 or size >= OPEN_32 else offset + size


def _caf(file: BinaryIO) -> int | None:
    position, end = 8, size_of(file)
    while position + 12 <= end:
        chunk, size = struct.unpack(">4sq", read_at(file, position, 12))
        if size < 0:
            return None
        if chunk == b"data":
            return position + 12 + int(size)
        position += 12 + size
    return position + 12


_W64_DATA = b"data" + bytes.fromhex("f3acd3118cd100c04f8edb8a")


def _w64(file: BinaryIO) -> int | None:
    position, end = 40, size_of(file)
    while position + 24 <= end:
        chunk, size = struct.unpack("<16sQ", read_at(file, position, 24))
        if chunk == _W64_DATA:
            # If left open, it states the size of its own header, or all ones.
            return None if size <= 24 or size >= 1 << 62 else position + int(size)
        if size < 24:
            return None
        position += (int(size) + 7) & ~7
    return position + 24


def _mp4(file: BinaryIO) -> int | None:
    position, end, whole = 0, 0, size_of(file)
    while position + 8 <= whole:
        size, box = struct.unpack(">I4s", read_at(file, position, 8))
        if box not in _MP4_BOXES:
            break
        if size == 1:
            (size,) = struct.unpack(">Q", read_at(file, position + 8, 8))
        if size == 0:
            return None
        if size < 8:
            break
        position += size
        end = position
    return end


def _matroska(file: BinaryIO) -> int | None:
    header = read_at(file, 4, 64)
    header_size, length = _ebml_size(header)
    if header_size is None:
        return None
    position = 4 + length + header_size
    segment = read_at(file, position, 12)
    if segment[:4] != b"\x18\x53\x80\x67":
        return None
    segment_size, length = _ebml_size(segment[4:])
    return None if segment_size is None else position + 4 + length + segment_size


def _ebml_size(data: bytes) -> tuple[int | None, int]:
    """Read an EBML variable-length size (RFC 8794, section 4): its value, None when open, and its length."""
    length = 9 - data[0].bit_length()
    raw = int.from_bytes(data[:length], "big")
    value = raw & ((1 << (7 * length)) - 1)
    return (None if value == (1 << (7 * length)) - 1 else value), length


_WALKS: tuple[tuple[bytes, int, Callable[[BinaryIO], int | None]], ...] = (
    (b"RIFF", 0, _riff),
    (b"RIFX", 0, _riff),
    (b"RF64", 0, _riff),
    (b"BW64", 0, _riff),
    (b"FORM", 0, _aiff),
    (b".snd", 0, _au),
    (b"caff", 0, _caf),
    (b"riff\x2e\x91\xcf\x11", 0, _w64),
    (b"ftyp", 4, _mp4),
    (b"\x1a\x45\xdf\xa3", 0, _matroska),
)
