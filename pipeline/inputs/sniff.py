"""Recognise a file by its first bytes, if its name does not say what it is."""

from __future__ import annotations

import zlib

from pipeline.audio.stream import LFS_POINTER
from pipeline.inputs.compressed import is_compressed

SNIFFED_BYTES = 4096

# (offset, bytes): magic numbers of audio containers and streams.
_AUDIO = (
    *(
        (0, magic)
        for magic in (b"RIFF", b"RIFX", b"RF64", b"BW64", b"FORM", b"fLaC", b"OggS", b"ID3", b"caff", b".snd")
    ),
    *((0, magic) for magic in (b"NIST_1A", b"wvpk", b"MAC ", b"TTA1", b"#!AMR", b"MPCK", b"MP+", b"FLV\x01", b".RMF")),
    *((0, magic) for magic in (b"ajkg", b"DSD ", b"FRM8", b"Creative Voice File", b"riff\x2e\x91\xcf\x11")),
    *((0, magic) for magic in (b"\x1aE\xdf\xa3", b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", b"\x00\x00\x01\xba")),
    *((0, magic) for magic in (b"\x0b\x77", b"\x7f\xfe\x80\x01", b"\x64\xa3\x01\x00", b"\x64\xa3\x02\x00")),
    *((4, magic) for magic in (b"ftyp", b"moov", b"mdat", b"wide", b"skip")),
)
_OTHER = (
    (b"PK\x03\x04", "zip archive"),
    (b"7z\xbc\xaf", "7z archive"),
    (b"Rar!", "rar archive"),
    (b"%PDF", "PDF"),
    (b"\x89PNG", "image"),
    (b"\xff\xd8\xff", "image"),
    (b"GIF8", "image"),
    (b"BM", "image"),
)
# Kilobits a second by layer, for MPEG 1 and for MPEG 2 and 2.5, and samples a second of MPEG 1.
_BITRATES = {
    (1, 1): (0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (1, 2): (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (1, 3): (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (2, 1): (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (2, 2): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (2, 3): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_RATES = (44_100, 48_000, 32_000)


def kind_by_content(head: bytes) -> str:
    """Return "audio", "tar", "parquet", or a word for what else a file is, by its first `SNIFFED_BYTES`."""
    if not head:
        return "empty file"
    if head.startswith(LFS_POINTER):
        return "Git LFS pointer"
    if head[257:262] == b"ustar":
        return "tar"
    if head.startswith(b"\x1f\x8b") and _inflated(head)[257:262] == b"ustar":
        return "tar"
    if head.startswith(b"PAR1"):
        return "parquet"
    if any(head[at : at + len(magic)] == magic for at, magic in _AUDIO) or _framed(head) or _transport(head):
        return "audio"
    if is_compressed(head):
        return "compressed file"
    for magic, kind in _OTHER:
        if head.startswith(magic):
            return kind
    return "text" if _is_text(head) else "unknown contents"


def _framed(head: bytes) -> bool:
    """Whether MPEG audio or ADTS frames follow each other from the first byte on."""
    at = frames = 0
    while at + 7 <= len(head) and frames < 3:
        size = _mpeg_frame(head[at : at + 4]) or _adts_frame(head[at : at + 7])
        if not size:
            return False
        at, frames = at + size, frames + 1
    return frames > 1 or (frames == 1 and at > len(head))


def _mpeg_frame(header: bytes) -> int:
    """Return the size in bytes of the MPEG audio frame with this header; 0 if it is none."""
    version, layer = header[1] >> 3 & 3, 4 - (header[1] >> 1 & 3)
    bitrate, rate = header[2] >> 4, header[2] >> 2 & 3
    if header[0] != 0xFF or header[1] & 0xE0 != 0xE0 or version == 1 or layer == 4 or not 0 < bitrate < 15 or rate == 3:
        return 0
    of_mpeg = 1 if version == 3 else 2
    per_second = _BITRATES[of_mpeg, layer][bitrate] * 1000
    samples_a_second = _RATES[rate] // {3: 1, 2: 2, 0: 4}[version]
    padding = header[2] >> 1 & 1
    if layer == 1:
        return (12 * per_second // samples_a_second + padding) * 4
    return (72 if layer == 3 and of_mpeg == 2 else 144) * per_second // samples_a_second + padding


def _adts_frame(header: bytes) -> int:
    if header[0] != 0xFF or header[1] & 0xF6 != 0xF0:
        return 0
    size = (header[3] & 3) << 11 | header[4] << 3 | header[5] >> 5
    return size if size >= 7 else 0


def _transport(head: bytes) -> bool:
    """Whether it is an MPEG transport stream: a sync byte every 188 bytes, or 192 with a timestamp before each."""
    return any(
        len(head) > first + 2 * step and all(head[at] == 0x47 for at in range(first, len(head), step)[:8])
        for first, step in ((0, 188), (4, 192))
    )


def _inflated(head: bytes) -> bytes:
    try:
        return zlib.decompressobj(31).decompress(head, 512)
    except zlib.error:
        return b""


def _is_text(head: bytes) -> bool:
    try:
        head[: len(head) - 4].decode("utf-8")
    except UnicodeDecodeError:
        return False
    return b"\0" not in head
