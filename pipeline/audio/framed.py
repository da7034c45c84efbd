"""The ends of streams made of pages and frames: Ogg, FLAC and MP3."""

from __future__ import annotations

import struct

_OGG_PAGE_HEADER = 27
_BOS, _EOS = 2, 4


def ogg_unfinished(data: bytes) -> bool:
    """Return True when an Ogg file stops inside a page or before its end-of-stream page (RFC 3533)."""
    position, open_streams, last = 0, set(), None
    while data[position : position + 4] == b"OggS":
        if position + _OGG_PAGE_HEADER > len(data):
            return True
        flags = data[position + 5]
        (serial,) = struct.unpack_from("<I", data, position + 14)
        n_segments = data[position + 26]
        table = data[position + _OGG_PAGE_HEADER : position + _OGG_PAGE_HEADER + n_segments]
        end = position + _OGG_PAGE_HEADER + n_segments + sum(table)
        if len(table) < n_segments or end > len(data):
            return True
        if flags & _BOS:
            open_streams.add(serial)
        if flags & _EOS:
            open_streams.discard(serial)
        last, position = serial, end
    return last in open_streams


def flac_frames(data: bytes) -> int | None:
    """Return the frames that a FLAC header states (RFC 9639, section 8.2); None where it does not."""
    if data[:4] != b"fLaC" or len(data) < 26:
        return None
    total = int.from_bytes(data[18:26], "big") & ((1 << 36) - 1)
    return total or None


def mp3_end(data: bytes) -> int | None:
    """Return the offset at which an MP3's Xing or Info header says it ends; None where there is none."""
    start = _after_id3(data)
    header = data[start : start + 4]
    if len(header) < 4 or header[0] != 0xFF or header[1] & 0xE6 != 0xE2:
        return None
    mpeg_1, mono = header[1] & 0x18 == 0x18, header[3] & 0xC0 == 0xC0
    side_info = (17 if mono else 32) if mpeg_1 else (9 if mono else 17)
    crc = 0 if header[1] & 1 else 2
    for tag in (start + 4 + side_info, start + 4 + side_info + crc):
        if data[tag : tag + 4] in (b"Xing", b"Info") and len(data) >= tag + 16:
            (flags,) = struct.unpack_from(">I", data, tag + 4)
            if not flags & 2:
                return None
            (size,) = struct.unpack_from(">I", data, tag + (12 if flags & 1 else 8))
            return start + int(size) if size else None
    return None


def _after_id3(data: bytes) -> int:
    if data[:3] != b"ID3" or len(data) < 10:
        return 0
    size = 0
    for byte in data[6:10]:
        size = size << 7 | byte & 0x7F
    return 10 + size + (10 if data[5] & 0x10 else 0)
