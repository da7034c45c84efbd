"""A recording's length is counted on the stream that runs hear, which is the one that FFmpeg chooses."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from pipeline.audio.decode import decode
from pipeline.runs.verify.census.length_main import length_of
from tests.audio.make import encode

RATE = 44_100
NOISE = (0.2 * np.random.default_rng(0).standard_normal((3 * RATE, 2))).astype(np.float32)


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="the ffmpeg command is not installed")
@pytest.mark.parametrize(
    ("name", "options", "channels", "seconds"),
    [
        ("one.mka", "-map 0 -c:a flac", 1, 2.0),
        ("more-channels.ts", "-map 0 -map 1 -c:a mp2", 2, 3.0),
        ("more-channels-first.ts", "-map 1 -map 0 -c:a mp2", 2, 3.0),
        ("side-by-side.ogg", "-map 0 -map 1 -c:a libvorbis", 2, 3.0),
        ("second.mka", "-map 0 -map 1 -c:a flac -disposition:a:0 0 -disposition:a:1 default", 2, 3.0),
        ("second-mono.mka", "-map 1 -map 0 -c:a flac -disposition:a:0 0 -disposition:a:1 default", 1, 2.0),
    ],
)
def test_the_stream_is_counted_that_is_heard(
    tmp_path: Path, name: str, options: str, channels: int, seconds: float
) -> None:
    (tmp_path / "mono.wav").write_bytes(encode(NOISE[: 2 * RATE, 0], RATE))
    (tmp_path / "stereo.wav").write_bytes(encode(NOISE, RATE))
    command = f"ffmpeg -v error -i mono.wav -i stereo.wav {options} {name}"
    subprocess.run(command.split(), cwd=tmp_path, check=True)
    data = (tmp_path / name).read_bytes()
    length, heard = length_of(data), decode(data, name, RATE)
    assert heard.channels_in == channels
    assert length["seconds"] == pytest.approx(len(heard.waveform) / RATE, abs=1e-4)
    assert length["seconds"] == pytest.approx(seconds, abs=0.1)


def test_what_holds_no_sound_has_no_length() -> None:
    assert length_of(b"no audio" * 99)["seconds"] is None
