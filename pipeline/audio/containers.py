"""Where a container says that its audio ends, so that a file cut short is not taken for a short recording.

Decoders do not report a missing end. Only what a file states about itself is read here; sizes that streaming
writers leave open (0, or all ones) state nothing, and a file that states nothing is never refused.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

# A writer that cannot seek back leaves the largest size it knows; SoX writes 0x7FFFF000 and above.
_OPEN_32 = 0x7FFFF000
# What may stand at the top of an MP4 file; anything else is a tag that someone put behind it.
_MP4_BOXES = frozenset(
    {
        *(b"ftyp", b"styp", b"moov", b"mdat", b"moof", b"mfra", b"free", b"skip", b"wide", b"uuid"),
        *(b"meta", b"udta", b"sidx", b"ssix", b"prft", b"emsg", b"pnot", b"pdin"),
    }
)


def stated_end(data: bytes) -> int | None:
    """Return the offset in bytes at which the container says its audio ends; None where it does not say.

    A return value larger than `len(data)` means that the file was cut short.
    """
    for magic, offset, walk in _WALKS:
        if data[offset : offset + len(magic)] == magic:
            try:
                return walk(data)
            except (struct.error, IndexError):
                # A header that stops in the middle: the container needs at least one byte more.
                return len(data) + 1
    return None


def _riff(data: bytes) -> int | None:
    order = ">" if data[:4] == b"RIFX" else "<"
    position, size_64 = 12, None
    while position + 8 <= len(data):
        chunk = data[position : position + 4]
        (size,) = struct.unpack_from(f"{order}I", data, position + 4)
        if chunk == b"ds64":
            (size_64,) = struct.unpack_from("<Q", data, position + 16)
        if chunk == b"data":
            if size == 0xFFFFFFFF and size_64:
                return position + 8 + int(size_64)
            return None if size == 0 or size >= _OPEN_32 else position + 8 + int(size)
        position += 8 + size + size % 2
    (whole,) = struct.unpack_from(f"{order}I", data, 4)
    return None if whole == 0 or whole >= _OPEN_32 else 8 + int(whole)


def _aiff(data: bytes) -> int | None:
    position = 12
    while position + 8 <= len(data):
        (size,) = struct.unpack_from(">I", data, position + 4)
        if data[position : position + 4] == b"SSND":
            return None if size == 0 or size >= _OPEN_32 else position + 8 + int(size)
        position += 8 + size + size % 2
    return 8 + int(struct.unpack_from(">I", data, 4)[0])


def _au(data: bytes) -> int | None:
    offset, size = struct.unpack_from(">II", data, 4)
    return None if size == 0 or size >= _OPEN_32 else offset + size


def _caf(data: bytes) -> int | None:
    position = 8
    while position + 12 <= len(data):
        (size,) = struct.unpack_from(">q", data, position + 4)
        if size < 0:
            return None
        if data[position : position + 4] == b"data":
            return position + 12 + int(size)
        position += 12 + size
    return position + 12


def _mp4(data: bytes) -> int | None:
    position, end = 0, 0
    while position + 8 <= len(data):
        (size,) = struct.unpack_from(">I", data, position)
        if data[position + 4 : position + 8] not in _MP4_BOXES:
            break
        if size == 1:
            (size,) = struct.unpack_from(">Q", data, position + 8)
        if size == 0:
            return None
        if size < 8:
            break
        position += size
        end = position
    return end


def _matroska(data: bytes) -> int | None:
    position = 4
    header_size, length = _ebml_size(data, position)
    if header_size is None:
        return None
    position += length + header_size
    if data[position : position + 4] != b"\x18\x53\x80\x67":
        return None
    segment_size, length = _ebml_size(data, position + 4)
    return None if segment_size is None else position + 4 + length + segment_size


def _ebml_size(data: bytes, position: int) -> tuple[int | None, int]:
    """Read an EBML variable-length size (RFC 8794, section 4): its value, None when open, and its length."""
    length = 9 - data[position].bit_length()
    raw = int.from_bytes(data[position : position + length], "big")
    value = raw & ((1 << (7 * length)) - 1)
    return (None if value == (1 << (7 * length)) - 1 else value), length


_WALKS: tuple[tuple[bytes, int, Callable[[bytes], int | None]], ...] = (
    (b"RIFF", 0, _riff),
    (b"RIFX", 0, _riff),
    (b"RF64", 0, _riff),
    (b"FORM", 0, _aiff),
    (b".snd", 0, _au),
    (b"caff", 0, _caf),
    (b"ftyp", 4, _mp4),
    (b"\x1a\x45\xdf\xa3", 0, _matroska),
)
