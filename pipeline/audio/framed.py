"""What streams of pages or frames say about their length: Ogg, FLAC and MP3."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from typing import BinaryIO

from pipeline.audio.stream import read_at, size_of

_OGG_PAGE_HEADER = 27
_BOS, _EOS = 2, 4
_PAGE_BYTES = 65_307  # the largest that an Ogg page can be
_MOST_BLOCKS = 1024  # of metadata before a FLAC file's frames
_JOINED_WITHIN = 32 << 20  # bytes of a FLAC file that are searched for another
_MIRROR = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


@dataclass(frozen=True)
class OggPages:
    """The pages of an Ogg file (RFC 3533), which may be a chain of several joined streams.

    `links` are the offsets at which they begin, and `forms` what the first packet of each says of codec, rate and
    channels; `ended` says that the last one has its end-of-stream page, `cut` that the file stops inside a page.
    `damaged` counts damaged pages (a wrong checksum, or bytes between pages). `breaks` counts the places where pages
    are missing or repeated, by their numbers; `late` says that the numbers jump after the headers, as when recording
    began late; `alone` that no two streams are multiplexed.
    """

    links: tuple[int, ...]
    forms: tuple[bytes, ...]
    ended: bool
    cut: bool
    damaged: int
    breaks: int
    late: bool
    alone: bool


def ogg_pages(file: BinaryIO) -> OggPages | None:
    """Read all pages of an Ogg file; None for another file."""
    if read_at(file, 0, 4) != b"OggS":
        return None
    file.seek(0)
    # `data` holds the bytes of the file from `base` on; the next page begins at `at` in them.
    base, data, at, whole = 0, b"", 0, False
    links, forms, open_streams = [], [], set()
    cut, damaged, last, begun = False, 0, None, True
    breaks, late, alone = 0, False, True
    # The number of the last page of each stream, and whether sound came before it.
    numbers: dict[int, tuple[int, bool]] = {}
    while True:
        if len(data) - at < _PAGE_BYTES and not whole:
            more = file.read(1 << 20)
            base, data, at, whole = base + at, data[at:] + more, 0, not more
            continue
        following = data.find(b"OggS", at + 1)
        if at >= len(data):
            break
        if data[at : at + 4] != b"OggS":
            if following < 0 and whole:
                break  # a tag after the last page is no damage
            damaged += following >= 0
            at = following if following >= 0 else max(len(data) - 3, at + 1)
            continue
        segments = data[at + _OGG_PAGE_HEADER : at + _OGG_PAGE_HEADER + (data[at + 26] if at + 26 < len(data) else 0)]
        begin = at + _OGG_PAGE_HEADER + len(segments)
        end = begin + sum(segments)
        if len(data) < at + _OGG_PAGE_HEADER or len(segments) < data[at + 26] or len(data) < end:
            cut, damaged = cut or following < 0, damaged + (following >= 0)
            at = following if following >= 0 else len(data)
            continue
        flags, granule, serial, number = struct.unpack_from("<BqII", data, at + 5)
        if _page_checksum(data[at:end]) != struct.unpack_from("<I", data, at + 22)[0]:
            damaged += 1
            at = following if 0 <= following < end else end
            continue
        if flags & _BOS and begun:
            links.append(base + at)
            forms.append(_ogg_form(data[begin:end]))
        elif flags & _BOS:
            alone = False
        begun = not flags & _BOS
        before, sounded = numbers.get(serial, (number - 1, False)) if begun else (number - 1, False)
        if number != before + 1 & 0xFFFFFFFF:
            breaks, late = breaks + (sounded or number <= before), late or not sounded
        numbers[serial] = number, sounded or granule > 0
        if flags & _BOS:
            open_streams.add(serial)
        if flags & _EOS:
            open_streams.discard(serial)
        last, at = serial, end
    return OggPages(tuple(links), tuple(forms), last not in open_streams, cut, damaged, breaks, late, alone)


def _ogg_form(packet: bytes) -> bytes:
    """Return what the first packet of an Ogg stream says about its codec, rate and channels."""
    if packet[:7] == b"\x01vorbis":
        return packet[:16]
    if packet[:5] == b"\x7fFLAC":
        return packet[:5] + packet[27:30]
    return packet[:10] if packet[:8] == b"OpusHead" else packet[:8]


def _page_checksum(page: bytes) -> int:
    """Return Ogg's CRC of a page: zlib's, with the bits of all bytes and of the result mirrored, starting from 0."""
    mirrored = (page[:22] + bytes(4) + page[26:]).translate(_MIRROR)
    crc = zlib.crc32(mirrored, 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int.from_bytes(crc.to_bytes(4, "little").translate(_MIRROR), "big")


def flac_frames(file: BinaryIO) -> int | None:
    """Return the number of samples that a FLAC header states (RFC 9639, section 8.2); None if it states none."""
    head = read_at(file, 0, 26)
    if head[:4] != b"fLaC" or len(head) < 26:
        return None
    return int.from_bytes(head[18:26], "big") & ((1 << 36) - 1) or None


def flac_joined(file: BinaryIO) -> int | None:
    """Return where another FLAC file begins inside this one, within its first 32 MiB; None if none does."""
    at = 4
    data = read_at(file, 0, _JOINED_WITHIN)
    while (at := data.find(b"fLaC", at)) >= 0:
        # Its first block is STREAMINFO, which has 34 bytes.
        if data[at + 4 : at + 5] in (b"\0", b"\x80") and data[at + 5 : at + 8] == b"\0\0\x22":
            return at
        at += 4
    return None


def flac_first_frame(file: BinaryIO) -> int | None:
    """Return the number of the first sample in a FLAC file, by its first frame's header; None if there is none.

    It is not 0 if the file was cut from another without decoding: its header then states the other's length.
    """
    at = _after_id3(file)
    head = read_at(file, at, 42)
    if head[:4] != b"fLaC" or len(head) < 42:
        return None
    at += 4
    for _ in range(_MOST_BLOCKS):
        block = read_at(file, at, 4)
        if len(block) < 4:
            break
        at += 4 + int.from_bytes(block[1:], "big")
        if block[0] & 0x80:
            # With a fixed block size, only the last block is smaller than the largest.
            found = _frame(read_at(file, at, 16), int.from_bytes(head[10:12], "big"))
            return None if found is None else found[0]
    return None


def flac_last_frame(file: BinaryIO) -> int | None:
    """Return the samples up to the end of a file's last FLAC frame, by that frame's header; None if none is found."""
    head = read_at(file, 0, 42)
    size = size_of(file)
    begin = max(0, size - (int.from_bytes(head[15:18], "big") or 1 << 16) - (1 << 12))
    tail = read_at(file, begin, size - begin)
    at = len(tail)
    while (at := tail.rfind(b"\xff", 0, at)) >= 0:
        found = _frame(tail[at : at + 16], _fixed_block(head))
        if found is not None:
            return sum(found)
    return None


def _fixed_block(head: bytes) -> int:
    """Return the size of all blocks but the last, by a FLAC header; 0 if they differ."""
    smallest, largest = struct.unpack_from(">HH", head, 8)
    return int(smallest) if smallest == largest else 0


_FLAC_BLOCKS = {1: 192, **{k: 576 << (k - 2) for k in range(2, 6)}, **{k: 256 << (k - 8) for k in range(8, 16)}}


def _frame(header: bytes, fixed_block: int) -> tuple[int, int] | None:
    """Return a FLAC frame's first sample and its length (RFC 9639, section 9.1); None if this is no frame header."""
    if len(header) < 6 or header[1] & 0xFE != 0xF8 or header[3] & 1 or header[2] >> 4 == 0 or header[2] & 15 == 15:
        return None
    length = max(1, 8 - (header[4] ^ 0xFF).bit_length())
    if length > 7 or header[4] & 0xC0 == 0x80:
        return None
    number = header[4] & (0x7F >> length if length > 1 else 0x7F)
    for byte in header[5 : 4 + length]:
        if byte & 0xC0 != 0x80:
            return None
        number = number << 6 | byte & 0x3F
    code, at = header[2] >> 4, 4 + length
    extra = {6: 1, 7: 2}.get(code, 0)
    block = int.from_bytes(header[at : at + extra], "big") + 1 if extra else _FLAC_BLOCKS.get(code, 0)
    at += extra + {12: 1, 13: 2, 14: 2}.get(header[2] & 15, 0)
    if at >= len(header) or _crc8(header[:at]) != header[at]:
        return None
    # With a fixed block size the header has the frame's number, else that of its first sample.
    if not header[1] & 1 and not fixed_block and number:
        return None
    return (number if header[1] & 1 else number * fixed_block), block


def _crc8(data: bytes) -> int:
    value = 0
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = (value << 1 ^ (0x07 if value & 0x80 else 0)) & 0xFF
    return value


@dataclass(frozen=True)
class Mp3Header:
    """What the Xing or Info header of an MP3 states: the offset at which its frames end, and their number."""

    end: int | None
    frames: int | None


def mp3_header(file: BinaryIO) -> Mp3Header | None:
    """Read the Xing or Info header of an MP3; None if there is none."""
    start = _after_id3(file)
    data = read_at(file, start, 192)
    if len(data) < 4 or data[0] != 0xFF or data[1] & 0xE6 != 0xE2:
        return None
    mpeg_1, mono = data[1] & 0x18 == 0x18, data[3] & 0xC0 == 0xC0
    side_info = (17 if mono else 32) if mpeg_1 else (9 if mono else 17)
    crc = 0 if data[1] & 1 else 2
    for tag in (4 + side_info, 4 + side_info + crc):
        if data[tag : tag + 4] in (b"Xing", b"Info") and len(data) >= tag + 16:
            (flags,) = struct.unpack_from(">I", data, tag + 4)
            counts = struct.unpack_from(">II", data, tag + 8)
            frames = counts[0] if flags & 1 else 0
            size = counts[1 if flags & 1 else 0] if flags & 2 else 0
            return Mp3Header(start + size if size else None, frames or None)
    return None


def end_of_frames(file: BinaryIO) -> int:
    """Return where the frames of an MP3 or FLAC end: before the ID3v1 and APE tags at the end of the file."""
    end = size_of(file)
    while True:
        tail = read_at(file, max(0, end - 160), min(160, end))
        if tail[-128:-125] == b"TAG":
            end -= 128
        elif tail[-32:-24] == b"APETAGEX":
            size, _, flags = struct.unpack("<III", tail[-20:-8])
            end = max(0, end - max(32, size) - (32 if flags & 0x80000000 else 0))
        else:
            return end


def _after_id3(file: BinaryIO) -> int:
    head = read_at(file, 0, 10)
    if head[:3] != b"ID3" or len(head) < 10:
        return 0
    size = 0
    for byte in head[6:10]:
        size = size << 7 | byte & 0x7F
    return 10 + size + (10 if head[5] & 0x10 else 0)
