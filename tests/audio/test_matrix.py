"""Whatever wrote, cut, joined or damaged a file, it is as long here as by FFmpeg, or something says why it is not."""

from __future__ import annotations

import pytest

from tests.audio.matrix import SECONDS, Outcome, make_cases, missing_tools, outcomes


@pytest.fixture(scope="module")
def matrix(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Outcome]:
    if missing := missing_tools():
        pytest.skip(f"these commands are not installed: {', '.join(missing)}")
    made = make_cases(tmp_path_factory.mktemp("matrix"))
    found = {outcome.case.name: outcome for outcome in outcomes(made)}
    assert len(found) == len(made) > 300
    return found


@pytest.mark.slow
def test_no_length_differs_from_ffmpegs_in_silence(matrix: dict[str, Outcome]) -> None:
    assert [str(outcome) for outcome in matrix.values() if outcome.silent] == []


@pytest.mark.slow
def test_nothing_is_said_of_what_is_whole(matrix: dict[str, Outcome]) -> None:
    assert [str(outcome) for outcome in matrix.values() if outcome.case.sound and outcome.said] == []


@pytest.mark.slow
def test_what_is_cut_or_lies_is_named(matrix: dict[str, Outcome]) -> None:
    for name, outcome in matrix.items():
        if " cut at " in name and not outcome.case.sound:
            assert set(outcome.said) & {"truncated", "damaged"}, outcome
    for name in ("wav of 0xdff20 bytes", "ffmpeg flac of 229320 samples", "lame vbr.mp3 with twice the frames"):
        assert "truncated" in matrix[name].said


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "seconds"),
    [
        ("ffmpeg pipe vbr.mp3", SECONDS),
        ("lame pipe abr.mp3", SECONDS),
        ("lame no-tag.mp3", SECONDS),
        ("ffmpeg vbr.mp3 + ffmpeg vbr.mp3", 2 * SECONDS),
        ("oggenc.ogg + ffmpeg vorbis.ogg", 2 * SECONDS),
        ("opusenc mono.opus + opusenc.opus", 2 * SECONDS),
        ("ffmpeg flac + ffmpeg flac", 2 * SECONDS),
        ("ffmpeg flac of 57330 samples", SECONDS),
        ("ffmpeg flac of 0 samples", SECONDS),
        ("ffmpeg pipe flac", SECONDS),
        ("wav of 0x0 bytes", SECONDS),
        ("sox pipe aiff", SECONDS),
        ("sox pipe au", SECONDS),
        ("sox sph", SECONDS),
        ("ffmpeg spx", SECONDS),
        ("ffmpeg aac.ts", SECONDS),
        ("ffmpeg pcm.mkv", SECONDS),
        ("ffmpeg aac.mov", SECONDS),
        ("ffmpeg mxf", SECONDS),
        ("ffmpeg pipe rf64.wav", SECONDS),
        ("ffmpeg pipe w64", SECONDS),
        ("au of 0x0 bytes", SECONDS),
        ("sox gsm.wav", SECONDS),
        ("oggenc.ogg whose last page counts no samples", SECONDS),
        ("ffmpeg segment flac 1", SECONDS / 2),
        ("ffmpeg segment ogg 0", SECONDS / 2),
    ],
)
def test_all_of_it_is_heard(matrix: dict[str, Outcome], name: str, seconds: float) -> None:
    # Encoders put a frame or two of their own before and behind the sound.
    assert matrix[name].here == pytest.approx(seconds, abs=0.12)
