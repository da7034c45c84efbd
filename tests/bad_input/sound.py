"""Small sound files in every container that can be written here: what bad ones are made of."""

from __future__ import annotations

import numpy as np

from tests.audio.make import encode_av, tone
from tests.bad_input.steady import encode

RATE = 16_000
_SNDFILE = {
    "16.wav": ("WAV", "PCM_16"),
    "24.wav": ("WAV", "PCM_24"),
    "32.wav": ("WAV", "PCM_32"),
    "float.wav": ("WAV", "FLOAT"),
    "double.wav": ("WAV", "DOUBLE"),
    "adpcm.wav": ("WAV", "IMA_ADPCM"),
    "rf64.wav": ("RF64", "PCM_16"),
    "sony.w64": ("W64", "PCM_16"),
    "a.flac": ("FLAC", "PCM_24"),
    "vorbis.ogg": ("OGG", "VORBIS"),
    "opus.opus": ("OGG", "OPUS"),
    "a.mp3": ("MP3", "MPEG_LAYER_III"),
    "a.aiff": ("AIFF", "PCM_16"),
    "a.au": ("AU", "PCM_16"),
    "a.caf": ("CAF", "PCM_16"),
}
_FFMPEG = {
    "a.m4a": ("ipod", "aac"),
    "a.aac": ("adts", "aac"),
    "a.webm": ("webm", "libopus"),
    "a.ac3": ("ac3", "ac3"),
    "lame.mp3": ("mp3", "libmp3lame"),
}


def sound_files(seconds: float = 0.4) -> dict[str, bytes]:
    """A tone of so many seconds by file name, a file for each container and codec."""
    made = {name: encode(tone(440, seconds, RATE), RATE, *kind) for name, kind in _SNDFILE.items()}
    for name, (container, codec) in _FFMPEG.items():
        made[name] = encode_av(tone(440, seconds, RATE * 3), RATE * 3, container, codec)
    return made


def channels(count: int, seconds: float = 0.3) -> np.ndarray:
    """Another tone on each of so many channels, `[n, count]` float32."""
    return np.stack([tone(200.0 * (number + 1), seconds, RATE) for number in range(count)], axis=1)
