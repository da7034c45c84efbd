"""Audio files made in the tests."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable

import av
import numpy as np
import soundfile
from numpy.typing import NDArray


def tone(hz: float, seconds: float, sample_rate: int, amplitude: float = 0.5) -> NDArray[np.float32]:
    """A sine `[n]`, float32."""
    t = np.arange(round(seconds * sample_rate)) / sample_rate
    return (amplitude * np.sin(2 * np.pi * hz * t)).astype(np.float32)


def encode(samples: NDArray[np.float32], sample_rate: int, container: str = "WAV", subtype: str | None = None) -> bytes:
    """A file's bytes, by libsndfile."""
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, sample_rate, format=container, subtype=subtype)
    return buffer.getvalue()


def encode_av(samples: NDArray[np.float32], sample_rate: int, container: str, codec: str) -> bytes:
    """A file's bytes, by FFmpeg."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container, container_options={"fflags": "+bitexact"}) as out:
        stream = out.add_stream(codec, rate=sample_rate)
        stream.layout = "mono"
        frame = av.AudioFrame.from_ndarray(samples[None, :], format="fltp", layout="mono")
        frame.sample_rate = sample_rate
        for item in (frame, None):
            for packet in stream.encode(item):
                out.mux(packet)
    return buffer.getvalue()


def with_granule(ogg: bytes, change: Callable[[int], int]) -> bytes:
    """An Ogg file whose last page counts other samples than it did, with the checksum of that (RFC 3533)."""
    page = bytearray(ogg[ogg.rindex(b"OggS") :])
    (granule,) = struct.unpack_from("<q", page, 6)
    struct.pack_into("<q", page, 6, change(granule))
    page[22:26] = bytes(4)
    crc = 0
    for byte in page:
        crc ^= byte << 24
        for _ in range(8):
            crc = (crc << 1 ^ (0x04C11DB7 if crc & 0x80000000 else 0)) & 0xFFFFFFFF
    page[22:26] = struct.pack("<I", crc)
    return ogg[: -len(page)] + bytes(page)
