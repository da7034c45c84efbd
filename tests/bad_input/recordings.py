"""Audio files that are damaged, lie about themselves, or hold what no recorder writes."""

from __future__ import annotations

import struct

import numpy as np

from tests.audio.make import encode_av, tone
from tests.bad_input.sound import RATE, channels, sound_files
from tests.bad_input.steady import encode

# The share of each format's files that are bytes turned over, in so many places.
_FLIPS = (1, 4, 16, 64)


def bad_clips(seed: int) -> dict[str, bytes]:
    """Contents by file name, of every kind."""
    rng = np.random.default_rng(seed)
    return {**_cut(), **_flipped(rng), **_liars(), **_strangers(rng), **_samples(rng)}


def _cut() -> dict[str, bytes]:
    """Truncated at every tenth, zero bytes among them, and to the header alone."""
    made = {}
    for name, data in sound_files().items():
        for tenth in range(10):
            made[f"cut{tenth}-{name}"] = data[: len(data) * tenth // 10]
        made[f"header-{name}"] = data[:44]
    return made


def _flipped(rng: np.random.Generator) -> dict[str, bytes]:
    made = {}
    for name, data in sound_files().items():
        for flips in _FLIPS:
            made[f"flip{flips}-{name}"] = _flip(data, rng, flips)
        made[f"flip-head-{name}"] = _flip(data[:200], rng, 3) + data[200:]
    return made


def _flip(data: bytes, rng: np.random.Generator, count: int) -> bytes:
    turned = bytearray(data)
    for bit in rng.integers(0, 8 * len(data), count):
        turned[bit // 8] ^= 1 << (bit % 8)
    return bytes(turned)


def _liars() -> dict[str, bytes]:
    """Headers that claim absurd rates, channels and lengths, and names that claim another format."""
    wav, made = encode(tone(440, 0.3, RATE), RATE, "WAV", "PCM_16"), {}
    for rate in (0, 1, 7, 999_983, 2_000_000, 0xFFFFFFFF):
        made[f"rate-{rate}.wav"] = _patched(wav, 24, "<I", rate)
    for count in (0, 3, 65, 1024, 65535):
        made[f"channels-{count}.wav"] = _patched(wav, 22, "<H", count)
    for bits in (0, 1, 7, 65, 65535):
        made[f"bits-{bits}.wav"] = _patched(wav, 34, "<H", bits)
    for size in (0, 1, 0x7FFFFFFE, 0xFFFFFFFF):
        made[f"data-{size}.wav"] = _patched(wav, wav.index(b"data") + 4, "<I", size)
    flac = bytearray(encode(tone(440, 0.3, RATE), RATE, "FLAC"))
    claimed = int.from_bytes(flac[18:26], "big") >> 36 << 36 | 100 * 3600 * RATE
    flac[18:26] = claimed.to_bytes(8, "big")
    made["100-hours.flac"] = bytes(flac)
    files = sound_files()
    names = sorted(files)
    for name, other in zip(names, [*names[7:], *names[:7]], strict=True):
        made[f"named-otherwise-{name}"] = files[other]
    return made


def _patched(data: bytes, offset: int, pattern: str, value: int) -> bytes:
    patched = bytearray(data)
    struct.pack_into(pattern, patched, offset, value)
    return bytes(patched)


def _strangers(rng: np.random.Generator) -> dict[str, bytes]:
    """Files of other kinds, chains and tags."""
    ogg, other = (encode(tone(hz, 0.3, rate), rate, "OGG", "VORBIS") for hz, rate in ((440, RATE), (880, 44_100)))
    id3 = b"ID3\x04\x00\x00\x00\x00\x01\x00" + b"TIT2\x00\x00\x00\x05\x00\x00\x03name" + bytes(128 - 15)
    mp3 = encode_av(tone(440, 0.4, 44_100), 44_100, "mp3", "libmp3lame")
    return {
        "text.wav": b"a text file, whatever its name says\n" * 40,
        "page.mp3": b"<!doctype html><html><body>404</body></html>" * 20,
        "picture.flac": b"\x89PNG\r\n\x1a\n" + rng.bytes(2000),
        "archive.ogg": b"PK\x03\x04" + rng.bytes(2000),
        "program.aac": b"\x7fELF\x02\x01\x01" + rng.bytes(2000),
        "playlist.m4a": b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile:///etc/hostname\n",
        "concat.wav": b"ffconcat version 1.0\nfile /etc/hostname\n",
        "noise.wav": rng.bytes(5000),
        "zeros.mp3": bytes(5000),
        "ones.aac": b"\xff" * 5000,
        "chain-same.ogg": ogg + ogg,
        "chain-other-rate.ogg": ogg + other,
        "chain-cut.ogg": ogg + other[: len(other) // 2],
        "id3-only.mp3": id3,
        "id3-and-text.mp3": id3 + b"no frames here" * 50,
        "id3-huge.mp3": b"ID3\x04\x00\x00\x7f\x7f\x7f\x7f" + mp3,
        "two-files.mp3": mp3 + mp3,
        "wav-in-wav.wav": encode(tone(440, 0.2, RATE), RATE) * 2,
        "riff-loop.wav": b"RIFF\xff\xff\xff\x7fWAVE" + b"junk\x00\x00\x00\x00" * 400,
        "mp4-nested.m4a": b"\x00\x00\x00\x18ftypM4A \x00\x00\x00\x00M4A isom" + b"\x00\x00\x00\x08moov" * 200,
    }


def _samples(rng: np.random.Generator) -> dict[str, bytes]:
    """Well-formed files with odd samples; all of them can be explained, the first three in part."""
    made = {}
    for name, value in (("nan", np.nan), ("inf", np.inf), ("minus-inf", -np.inf)):
        samples = tone(440, 0.3, RATE)
        samples[1000] = value
        made[f"{name}.wav"] = encode(samples, RATE, "WAV", "FLOAT")
    zeros, n = np.zeros(RATE // 2, np.float32), RATE // 2
    lsb = np.where(rng.random(n) < 0.5, 1 / 32768, 0.0).astype(np.float32)
    for name, kind in (("16.wav", ("WAV", "PCM_16")), ("a.flac", ("FLAC", "PCM_16")), ("v.ogg", ("OGG", "VORBIS"))):
        made[f"silence-{name}"] = encode(zeros, RATE, *kind)
        made[f"near-silence-{name}"] = encode(lsb, RATE, *kind)
        made[f"dc-{name}"] = encode(zeros + 0.5, RATE, *kind)
        made[f"clipping-{name}"] = encode(np.sign(tone(440, 0.5, RATE)), RATE, *kind)
    return made | {
        "denormal.wav": encode(zeros + 1e-40, RATE, "WAV", "FLOAT"),
        "huge.wav": encode(zeros + 1e9, RATE, "WAV", "FLOAT"),
        "absurd.wav": encode(zeros + 1e30, RATE, "WAV", "FLOAT"),
        "integers-as-floats.wav": encode(np.round(tone(440, 0.3, RATE) * 32767), RATE, "WAV", "FLOAT"),
        "one-sample.wav": encode(np.full(1, 0.5, np.float32), RATE),
        "one-sample.flac": encode(np.full(1, 0.5, np.float32), 192_000, "FLAC"),
        "no-samples.wav": encode(np.zeros(0, np.float32), RATE),
        "impulse.wav": encode(np.eye(1, n, 100, np.float32)[0], RATE),
        "eight-channels.wav": encode(channels(8), RATE, "WAV", "PCM_24"),
        "eight-channels.flac": encode(channels(8), RATE, "FLAC", "PCM_24"),
        "opposite-channels.wav": encode(np.stack([tone(440, 0.3, RATE), -tone(440, 0.3, RATE)], 1), RATE),
        "192-khz.wav": encode(tone(440, 0.3, 192_000), 192_000, "WAV", "DOUBLE"),
        "8-khz.wav": encode(tone(440, 0.3, 8_000), 8_000),
        "too-long.flac": encode(np.zeros(RATE * 40, np.float32), RATE, "FLAC"),
    }
