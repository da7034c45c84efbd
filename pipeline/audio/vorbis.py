"""Whether an Ogg Vorbis file counts its samples from its first packet to its last."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from functools import lru_cache
from typing import BinaryIO

from pipeline.audio.stream import read_at, size_of

_EOS = 4
_PAGE_HEADER = 27
# Pages that may come before the first that counts samples, most of them the headers'.
_MOST_PAGES = 256
_TAIL_BYTES = 4 * 65_307  # four of the largest pages
_MODE_BITS, _MOST_MODES = 41, 64


def counts_from_0(file: BinaryIO) -> bool:
    """Whether the first page with a sample count counts the samples of all packets before its end.

    Files cut from others without decoding count from a place before their first sample, or after it.
    """
    headers: list[bytes] = []
    packet, samples, last_block = b"", 0, 0
    for ended, granule, fragments in _pages(file, 0):
        for fragment, ends_packet in fragments:
            packet += fragment
            if not ends_packet:
                continue
            if len(headers) < 3:
                headers.append(packet)
            else:
                block = _block_size(headers, packet)
                samples, last_block = samples + (last_block + block) // 4 * bool(last_block), block
            packet = b""
        if last_block and granule >= 0:
            # The last packet of a file may hold more than there is.
            return samples == granule or (ended and granule < samples)
    return False


def counts_to_the_end(file: BinaryIO) -> bool:
    """Whether the last page counts the samples of all packets that end on it, except some of its last packet's.

    A page that counts fewer cuts off existing sound, which FFmpeg decodes all the same.
    """
    headers = _headers(file)
    begin = max(0, size_of(file) - _TAIL_BYTES)
    begin += max(0, read_at(file, begin, _TAIL_BYTES).find(b"OggS"))
    # The count of the previous page, and the block size of the previous packet: 0 before the first, None if unknown.
    counted, packet = None, b""
    block: int | None = 0 if begin == 0 else None
    known = begin == 0
    for ended, granule, fragments in _pages(file, begin):
        lengths: list[int | None] = []
        for fragment, ends_packet in fragments:
            packet += fragment
            if not ends_packet:
                continue
            before, here = block, _block_size(headers, packet) if known else None
            packet, known = b"", True
            if here != 0:
                block = here
                lengths.append(None if before is None or here is None else (before + here) // 4 * bool(before))
        if ended:
            sizes = [length for length in lengths if length is not None]
            if counted is None or len(sizes) < len(lengths):
                return False
            missing = sum(sizes) - (granule - counted)
            return missing == 0 or 0 < missing < sum(sizes[-1:])
        counted = granule if granule >= 0 else counted
    return False


def _headers(file: BinaryIO) -> list[bytes]:
    headers, packet = [], b""
    for _, _, fragments in _pages(file, 0):
        for fragment, ends_packet in fragments:
            packet += fragment
            if ends_packet:
                headers.append(packet)
                packet = b""
            if len(headers) == 3:
                return headers
    return [*headers, b"", b"", b""][:3]


def _pages(file: BinaryIO, at: int) -> Iterator[tuple[bool, int, list[tuple[bytes, bool]]]]:
    """Yield the pages of one stream from an offset on.

    For each: whether it is the last, its sample count, and its packets, or fragments of them, each with whether a
    packet ends there.
    """
    for _ in range(_MOST_PAGES):
        head = read_at(file, at, _PAGE_HEADER + 255)
        if len(head) < _PAGE_HEADER or head[:4] != b"OggS":
            return
        flags, granule = struct.unpack_from("<Bq", head, 5)
        sizes = head[_PAGE_HEADER : _PAGE_HEADER + head[26]]
        data = read_at(file, at + _PAGE_HEADER + len(sizes), sum(sizes))
        at += _PAGE_HEADER + len(sizes) + len(data)
        fragments, begin, end = [], 0, 0
        for size in sizes:
            end += size
            if size < 255:
                fragments.append((data[begin:end], True))
                begin = end
        if begin < end:
            fragments.append((data[begin:], False))
        yield bool(flags & _EOS), granule, fragments


def _block_size(headers: list[bytes], packet: bytes) -> int:
    """Return the block size of a packet in samples (Vorbis I, sections 4.2 and 4.3.1); 0 if it holds no samples."""
    flags = _long_blocks(headers[2])
    if len(headers[0]) < 30 or not packet or packet[0] & 1 or not flags:
        return 0
    sizes = headers[0][28]
    mode = packet[0] >> 1 & ((1 << (len(flags) - 1).bit_length()) - 1)
    return 1 << (sizes >> 4 if mode < len(flags) and flags[mode] else sizes & 15)


@lru_cache(4)
def _long_blocks(setup: bytes) -> list[bool]:
    """Return which modes use long blocks: modes end the header, and their number comes before them."""
    bits = int.from_bytes(setup, "little")
    end = bits.bit_length() - 1  # the bit that ends the header is set
    found = 0
    for count in range(1, min(_MOST_MODES, (end - 6) // _MODE_BITS) + 1):
        mode = bits >> (end - _MODE_BITS * count)
        # The types of window and transform are 0, and there are 64 mappings at most.
        if mode >> 1 & 0xFFFFFFFF or mode >> 33 & 0xFF > 63:
            break
        if (bits >> (end - _MODE_BITS * count - 6) & 63) + 1 == count:
            found = count
    return [bool(bits >> (end - _MODE_BITS * (found - number)) & 1) for number in range(found)]
