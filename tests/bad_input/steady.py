"""Sound files that are the same whenever they are made, as a case that is named by its seed has to be."""

from __future__ import annotations

import struct

import numpy as np

from tests.audio.make import encode as encode_once

_CRC = [0] * 256
for _byte in range(256):
    _value = _byte << 24
    for _ in range(8):
        _value = (_value << 1 ^ (0x04C11DB7 if _value & 0x80000000 else 0)) & 0xFFFFFFFF
    _CRC[_byte] = _value


def encode(samples: np.ndarray, sample_rate: int, container: str = "WAV", subtype: str | None = None) -> bytes:
    """A file's bytes by libsndfile, but without the time of day (PEAK) and the number by chance (Ogg's streams)."""
    data = bytearray(encode_once(samples, sample_rate, container, subtype))
    peak = data.find(b"PEAK", 0, 200)
    if container in ("WAV", "RF64") and peak >= 0:
        data[peak + 12 : peak + 16] = bytes(4)
    at = 0
    while data[at : at + 4] == b"OggS":
        segments = data[at + 26]
        end = at + 27 + segments + sum(data[at + 27 : at + 27 + segments])
        data[at + 14 : at + 18] = struct.pack("<I", 4711)
        data[at + 22 : at + 26] = bytes(4)
        data[at + 22 : at + 26] = struct.pack("<I", _checksum(data[at:end]))
        at = end
    return bytes(data)


def _checksum(page: bytes | bytearray) -> int:
    """Ogg's own (RFC 3533, section 6)."""
    value = 0
    for byte in page:
        value = (value << 8 & 0xFFFFFFFF) ^ _CRC[value >> 24 ^ byte]
    return value
