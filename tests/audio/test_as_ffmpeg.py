"""Files that decoders differ in: what FFmpeg decodes of them is heard, and what is missing is said."""

from __future__ import annotations

import io
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from pipeline.audio import resample
from pipeline.audio.decode import DecodedAudio, collect, decode, stream_audio
from pipeline.audio.vorbis import counts_from_0
from tests.audio.make import encode

RATE = 22_050
NOISE = (0.2 * np.random.default_rng(0).standard_normal((20 * RATE, 2))).astype(np.float32)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="the ffmpeg command is not installed"),
]


def ffmpeg(folder: Path, command: str) -> None:
    subprocess.run(["ffmpeg", "-v", "error", "-y", *command.split()], cwd=folder, check=True)


def by_ffmpeg(path: Path) -> np.ndarray:
    """What the ffmpeg command decodes, as mono at the file's rate."""
    command = ["ffmpeg", "-v", "quiet", "-i", str(path), "-f", "f32le", "-ac", "2", "-"]
    found = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout
    return np.frombuffer(found, np.float32).reshape(-1, 2).mean(axis=1)


def heard_as_by_ffmpeg(path: Path) -> DecodedAudio:
    """What is heard of a file, which is what the ffmpeg command decodes of it."""
    audio = decode(path.read_bytes(), path.name, RATE)
    expected = by_ffmpeg(path)
    assert len(audio.waveform) == len(expected)
    np.testing.assert_allclose(audio.waveform, expected, atol=1e-4)
    return audio


@pytest.mark.parametrize("start", [0.1, 3, 17])
@pytest.mark.parametrize("tagged", [False, True])
def test_a_flac_cut_from_another_is_a_whole_recording(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, start: float, tagged: bool
) -> None:
    path = tmp_path / "part.flac"
    (tmp_path / "whole.flac").write_bytes(encode(NOISE, RATE, "FLAC", "PCM_16"))
    ffmpeg(tmp_path, f"-ss {start} -i whole.flac -c copy part.flac")
    audio = heard_as_by_ffmpeg(path)
    assert len(audio.waveform) / RATE == pytest.approx(20 - start, abs=0.2)
    data = b"ID3\x04\x00\x00\x00\x00\x00\x0a" * tagged + bytes(10 * tagged) + path.read_bytes()
    assert decode(data, "part.flac", RATE).damage == audio.damage == ()
    monkeypatch.setattr(resample, "_BLOCK_FRAMES", 20_000)
    span = collect(stream_audio(io.BytesIO(data), "part.flac", RATE, spans=((30_000, None),))).waveform
    np.testing.assert_array_equal(span, audio.waveform[-len(span) :])
    assert len(span) >= len(audio.waveform) - 30_000


def test_a_flac_cut_from_another_whose_last_block_counts_as_its_smallest(tmp_path: Path) -> None:
    path = tmp_path / "part.flac"
    (tmp_path / "whole.flac").write_bytes(encode(NOISE, RATE, "FLAC", "PCM_16"))
    ffmpeg(tmp_path, "-ss 3 -i whole.flac -c copy part.flac")
    data = path.read_bytes()
    path.write_bytes(data[:8] + (640).to_bytes(2, "big") + data[10:])
    assert heard_as_by_ffmpeg(path).damage == ()


def test_of_a_flac_in_segments_only_the_first_seems_to_be_cut_short(tmp_path: Path) -> None:
    (tmp_path / "whole.flac").write_bytes(encode(NOISE, RATE, "FLAC", "PCM_16"))
    ffmpeg(tmp_path, "-i whole.flac -c copy -f segment -segment_time 8 %d.flac")
    parts = [heard_as_by_ffmpeg(tmp_path / f"{number}.flac") for number in range(3)]
    assert sum(len(part.waveform) for part in parts) == len(NOISE)
    # Its header states the length of the whole.
    assert [[one.reason for one in part.damage] for part in parts] == [["truncated"], [], []]


def pages_of(ogg: bytes) -> list[bytes]:
    """The pages of an Ogg file of one stream."""
    pieces = ogg.split(b"OggS\0")
    assert not pieces[0]
    return [b"OggS\0" + piece for piece in pieces[1:]]


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
@pytest.mark.parametrize(
    ("order", "then", "places"),
    [
        ([0, 1, 2, 3], 5, "one place"),
        ([0, 1, 2, 3], 3, "one place"),
        ([0, 1, 2, 4, 3], 5, "3 places"),
        ([0, 1, 2, 4], 6, "2 places"),
    ],
)
def test_pages_that_are_missing_or_repeated_are_damage(
    tmp_path: Path, subtype: str, order: list[int], then: int, places: str
) -> None:
    pages = pages_of(encode(NOISE[:, 0].repeat(2)[: 12 * 48_000], 48_000, "OGG", subtype))
    path = tmp_path / "broken.ogg"
    path.write_bytes(b"".join(pages[number] for number in order) + b"".join(pages[then:]))
    audio = decode(path.read_bytes(), path.name, 48_000)
    assert len(audio.waveform) == len(by_ffmpeg(path))
    assert [(one.reason, one.message) for one in audio.damage] == [
        ("damaged", f"pages of it are missing or repeated at {places}")
    ]


def test_an_ogg_that_was_recorded_from_its_middle_on_is_whole(tmp_path: Path) -> None:
    pages = pages_of(encode(NOISE, RATE, "OGG", "VORBIS"))
    path = tmp_path / "late.ogg"
    path.write_bytes(b"".join([*pages[:2], *pages[4:]]))
    assert heard_as_by_ffmpeg(path).damage == ()


@pytest.mark.parametrize("start", [0.5, 8, 13.3])
@pytest.mark.parametrize("writer", ["libsndfile", "ffmpeg"])
def test_an_ogg_vorbis_cut_from_another_is_heard_from_its_first_packet_on(
    tmp_path: Path, start: float, writer: str
) -> None:
    (tmp_path / "whole.wav").write_bytes(encode(NOISE, RATE))
    (tmp_path / "whole.ogg").write_bytes(encode(NOISE, RATE, "OGG", "VORBIS"))
    if writer == "ffmpeg":
        ffmpeg(tmp_path, "-i whole.wav -c:a libvorbis whole.ogg")
    assert counts_from_0(io.BytesIO((tmp_path / "whole.ogg").read_bytes()))
    ffmpeg(tmp_path, f"-ss {start} -i whole.ogg -c copy part.ogg")
    audio = heard_as_by_ffmpeg(tmp_path / "part.ogg")
    assert audio.damage == ()
    assert len(audio.waveform) / RATE == pytest.approx(20 - start, abs=1.5)


@pytest.mark.parametrize("seconds", [0.001, 0.01, 0.1, 1, 20])
def test_an_ogg_vorbis_of_any_length_counts_from_its_first_packet(seconds: float) -> None:
    data = encode(NOISE[: round(seconds * RATE)], RATE, "OGG", "VORBIS")
    assert counts_from_0(io.BytesIO(data))
    assert not any(counts_from_0(io.BytesIO(data[:n])) for n in (0, 20, 40, 70, 200, 2000))


@pytest.mark.parametrize("order", ["-map 0 -map 1", "-map 1 -map 0"])
@pytest.mark.parametrize("codec", ["libvorbis", "flac"])
def test_of_two_streams_side_by_side_the_one_is_heard_that_ffmpeg_chooses(
    tmp_path: Path, order: str, codec: str
) -> None:
    (tmp_path / "mono.wav").write_bytes(encode(NOISE[: 3 * RATE, 0], RATE))
    (tmp_path / "stereo.wav").write_bytes(encode(NOISE[: 4 * RATE], RATE))
    ffmpeg(tmp_path, f"-i mono.wav -i stereo.wav {order} -c:a {codec} two.ogg")
    audio = heard_as_by_ffmpeg(tmp_path / "two.ogg")
    assert (audio.channels_in, audio.damage) == (2, ())
    assert len(audio.waveform) == 4 * RATE


_VIDEO = "-f lavfi -i testsrc=d=6:s=64x64:r=10 -i stereo.wav"


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("longer-video.mkv", f"{_VIDEO} -c:v mpeg4 -c:a aac"),
        ("longer-video.webm", f"{_VIDEO} -c:v libvpx -c:a libopus"),
        ("longer-video.wmv", f"{_VIDEO} -c:v wmv2 -c:a wmav2"),
        ("longer-video.mp4", f"{_VIDEO} -c:v mpeg4 -c:a aac"),
        ("two-tracks.mka", "-i stereo.wav -i longer.wav -map 0 -map 1 -c:a flac"),
        ("two-tracks.webm", "-i stereo.wav -i longer.wav -map 0 -map 1 -c:a libopus"),
        ("two-tracks.wma", "-i stereo.wav -i longer.wav -map 0 -map 1 -c:a wmav2"),
        ("two-tracks.m4a", "-i stereo.wav -i longer.wav -map 0 -map 1 -c:a aac"),
        ("late.mka", "-itsoffset 2 -i stereo.wav -c:a flac"),
        ("late.wma", "-itsoffset 2 -i stereo.wav -c:a wmav2"),
        ("late.m4a", "-itsoffset 2 -i stereo.wav -c:a aac"),
        ("late.ts", "-itsoffset 2 -i stereo.wav -c:a aac"),
        ("alac.caf", "-i stereo.wav -c:a alac"),
        ("slow-alac.caf", "-i stereo.wav -ar 8000 -c:a alac"),
        ("slow-alac.m4a", "-i stereo.wav -ar 8000 -c:a alac"),
        ("slow-aac.m4a", "-i stereo.wav -ar 8000 -c:a aac"),
    ],
)
def test_only_what_the_stream_itself_states_can_be_missing(tmp_path: Path, name: str, command: str) -> None:
    (tmp_path / "stereo.wav").write_bytes(encode(NOISE[: round(3.3 * RATE)], RATE))
    (tmp_path / "longer.wav").write_bytes(encode(NOISE[: 5 * RATE, 0], RATE))
    ffmpeg(tmp_path, f"{command} {name}")
    data = (tmp_path / name).read_bytes()
    audio = decode(data, name, RATE)
    assert (audio.channels_in, audio.damage) == (2, ())
    at_its_rate = decode(data, name, audio.sample_rate_in).waveform
    # Versions of FFmpeg differ in what they take for the encoder's own at the beginning of Opus.
    assert len(at_its_rate) == pytest.approx(len(by_ffmpeg(tmp_path / name)), abs=0.005 * audio.sample_rate_in)


def test_bytes_behind_a_w64_are_none_of_its_sound() -> None:
    data = encode(NOISE[:RATE], RATE, "W64")
    audio = decode(data * 2, "two.w64", RATE)
    assert (len(audio.waveform), audio.damage) == (RATE, ())
