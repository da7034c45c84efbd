"""Windows of a recording's clips: itself, its segments, its channels; whole, damaged, and resumed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pipeline.audio import resample
from pipeline.audio.decode import decode
from pipeline.inputs.clip_windows import ClipError, ClipWindow, clip_windows, read_spans
from pipeline.inputs.recording import FileIds, RawRecording, Segment, channel_clip_id
from schemas.records import Cursor
from schemas.run_config import DecodingConfig
from tests.audio.make import encode, tone
from tests.flow.make import FRONT_END, RATE, sound

SECONDS = 6.3
STEREO = np.stack([sound(SECONDS, 22_050, seed=seed) for seed in (1, 2)], axis=1).astype(np.float32)
WAV, FLAC = (encode(STEREO, 22_050, kind, "PCM_16") for kind in ("WAV", "FLAC"))
MP3 = encode(STEREO, 22_050, "MP3", "MPEG_LAYER_III")


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks shorter than a window, so that a short recording is a long one."""
    monkeypatch.setattr(resample, "_BLOCK_FRAMES", 18_000)
    monkeypatch.setattr("pipeline.audio.decode._FAR_FRAMES", 1)
    monkeypatch.setattr("pipeline.audio.sndfile._BLOCK_SAMPLES", 9_000)


def recording(data: bytes = WAV, *segments: Segment) -> RawRecording:
    return RawRecording(3, "f" * 32, "key", "a.wav", data, segments=segments)


def cut(one: RawRecording, start: Cursor | None = None, **settings: Any) -> list[ClipWindow | ClipError]:
    return list(clip_windows(one, FRONT_END, DecodingConfig(**settings), start=start or Cursor()))


def windows(items: list[ClipWindow | ClipError]) -> list[ClipWindow]:
    return [item for item in items if isinstance(item, ClipWindow)]


def errors(items: list[ClipWindow | ClipError]) -> list[ClipError]:
    return [item for item in items if isinstance(item, ClipError)]


def assert_same(one: list[ClipWindow | ClipError], other: list[ClipWindow | ClipError]) -> None:
    assert errors(one) == errors(other)
    assert len(one) == len(other)
    for here, there in zip(windows(one), windows(other), strict=True):
        facts = [{**vars(item), "samples": None} for item in (here, there)]
        assert facts[0] == facts[1]
        np.testing.assert_array_equal(here.samples, there.samples)


def whole() -> np.ndarray:
    return decode(WAV, "a", RATE).waveform


def test_a_recording_is_cut_as_all_of_it_is_at_once() -> None:
    found = windows(cut(recording()))
    assert [item.index for item in found] == list(range(6))
    assert [item.start_s for item in found] == [float(number) for number in range(6)]
    assert [item.unheard_s for item in found] == pytest.approx([0.0] * 5 + [0.3])
    np.testing.assert_array_equal(np.concatenate([item.samples for item in found]), whole()[: 6 * RATE])
    assert {item.clip_id for item in found} == {"f" * 32}
    assert not any(item.damaged or item.channel for item in found)


SEGMENTS = (
    Segment("c" * 32, 4.0, None, {"label": "late"}),
    Segment("a" * 32, 0.5, 3.25),
    Segment("b" * 32, 2.0, 4.5),
    Segment("d" * 32, 1.0, 1.3),
)


def test_segments_overlap_as_they_may_and_count_from_the_files_beginning() -> None:
    items = cut(recording(WAV, *SEGMENTS), min_tail=0.0)
    assert not errors(items)
    for segment in SEGMENTS:
        found = [item for item in windows(items) if item.clip_id == segment.clip_id]
        assert [item.index for item in found] == list(range(len(found)))
        assert [item.start_s for item in found] == [segment.start_s + number for number in range(len(found))]
        start, stop = round(segment.start_s * RATE), round((segment.stop_s or SECONDS) * RATE)
        heard = np.concatenate([item.samples[: item.length] for item in found])
        np.testing.assert_array_equal(heard, whole()[start:stop])
        assert all(item.metadata == segment.metadata for item in found)


def test_segments_beyond_the_end_are_errors_in_part_or_in_whole() -> None:
    beyond = (
        Segment("a" * 32, 5.0, 9.0),
        Segment("b" * 32, 7.0, 9.0),
        Segment("c" * 32, 7.0, None),
        Segment("d" * 32, 3.0, 3.0),
        Segment("e" * 32, 0.0, SECONDS + 0.01),
    )
    items = cut(recording(WAV, *beyond))
    found = {item.clip_id[0]: item for item in errors(items)}
    assert sorted(found) == ["a", "b", "c", "d"]
    assert {item.reason for item in found.values()} == {"beyond_end"}
    assert found["a"].heard_s == pytest.approx(1.3)
    assert found["a"].stated_s == 4.0
    assert (
        "from 5 s to 9 s is not all there: the recording ends after 6.300 s; 1.300 s of 4.000 s" in found["a"].message
    )
    assert found["b"].heard_s == found["c"].heard_s == found["d"].heard_s == 0
    assert [item.damaged for item in windows(items) if item.clip_id == "a" * 32] == [True]


@pytest.mark.parametrize("data", [WAV, FLAC, MP3], ids=["wav", "flac", "mp3"])
def test_segments_behind_the_cut_of_a_recording_are_truncated(data: bytes) -> None:
    segments = (
        Segment("a" * 32, 0.0, 2.0),
        Segment("b" * 32, 2.0, 4.0),
        Segment("c" * 32, 4.0, 6.0),
        Segment("d" * 32, 5.0, None),
        Segment("e" * 32, 7.0, 9.0),
    )
    items = cut(recording(data[: len(data) // 2], *segments))
    found = {item.clip_id[0]: item for item in errors(items)}
    reasons = {name: item.reason for name, item in found.items()}
    assert reasons == {"b": "truncated", "c": "truncated", "d": "truncated", "e": "beyond_end"}
    assert found["b"].heard_s == pytest.approx(1.1, abs=0.3)
    assert found["c"].heard_s == found["d"].heard_s == 0
    assert found["c"].message.startswith("a.wav: the segment from 4 s to 6 s is not all there: ")
    assert [item.damaged for item in windows(items) if item.clip_id == "a" * 32] == [False, False]


def test_each_channel_is_a_recording() -> None:
    items = windows(cut(recording(), channel="each"))
    for channel in (1, 2):
        found = [item for item in items if item.channel == channel]
        assert {item.clip_id for item in found} == {channel_clip_id("f" * 32, channel)}
        alone = windows(cut(recording(), channel=str(channel)))
        assert {item.clip_id for item in alone} == {"f" * 32}
        for one, other in zip(found, alone, strict=True):
            np.testing.assert_array_equal(one.samples, other.samples)
    assert len({item.clip_id for item in items}) == 2
    (missing,) = cut(recording(), channel="3")
    assert isinstance(missing, ClipError)
    assert (missing.reason, missing.heard_s, missing.clip_id) == ("no_such_channel", 0.0, "f" * 32)


def test_ids_of_channels_lead_to_their_file() -> None:
    ids = {channel_clip_id("f" * 32, 2)}
    assert "f" * 32 in FileIds(ids, each=True)
    assert "e" * 32 not in FileIds(ids, each=True)
    assert "f" * 32 not in FileIds(ids, each=False)


CUT = WAV[: len(WAV) * 2 // 3]
HOLE = FLAC[: len(FLAC) // 2] + bytes(2000) + FLAC[len(FLAC) // 2 + 2000 :]


@pytest.mark.parametrize("data", [WAV, FLAC, MP3, CUT, HOLE], ids=["wav", "flac", "mp3", "cut", "hole"])
@pytest.mark.parametrize("channel", ["mix", "each"])
@pytest.mark.parametrize("segments", [(), SEGMENTS], ids=["whole", "segments"])
def test_from_any_window_on_the_rest_is_the_same(data: bytes, channel: str, segments: tuple[Segment, ...]) -> None:
    settings: dict[str, Any] = {"channel": channel, "window_hop_s": 0.7, "min_tail": 0.0}
    items = cut(recording(data, *segments), **settings)
    assert len(windows(items)) > 5
    for number in range(0, len(items), 3):
        item = items[number]
        if isinstance(item, ClipWindow):
            assert_same(cut(recording(data, *segments), item.place, **settings), items[number:])


def test_a_damaged_recording_is_heard_in_part_with_an_error() -> None:
    items = cut(recording(CUT))
    (error,) = errors(items)
    assert error.reason == "truncated"
    assert (error.heard_s, error.stated_s) == (pytest.approx(4.2, abs=0.01), SECONDS)
    assert error.message.startswith("a.wav: its header states")
    assert error.message.endswith(" of 6.300 s are heard")
    assert [item.damaged for item in windows(items)] == [True] * 4


def test_damage_in_the_middle_flags_what_comes_from_its_block_on() -> None:
    found = windows(cut(recording(HOLE)))
    flags = [item.damaged for item in found]
    assert flags == sorted(flags)
    assert not flags[0]
    assert flags[-1]


def test_a_damaged_recording_may_be_refused_as_a_whole() -> None:
    for data in (CUT, HOLE):
        (error,) = cut(recording(data), damaged="refuse")
        assert isinstance(error, ClipError)
        assert error.heard_s == 0
        assert error.reason in ("truncated", "damaged")
    assert_same(cut(recording(FLAC), damaged="refuse"), cut(recording(FLAC)))


def test_a_recording_that_is_too_long_is_an_error_and_no_other_is() -> None:
    (error,) = cut(recording(MP3), max_clip_seconds=5.0)
    assert isinstance(error, ClipError)
    assert error.reason == "too_long"
    assert "--max-clip-seconds" in error.message
    assert_same(cut(recording(), max_clip_seconds=7.0), cut(recording()))


def test_each_channel_of_a_damaged_recording_has_its_error() -> None:
    items = cut(recording(CUT), channel="each")
    assert {item.clip_id for item in errors(items)} == {item.clip_id for item in windows(items)}
    assert len(errors(items)) == 2


def test_a_fault_without_sound_is_one_error() -> None:
    items = cut(recording(b"no audio" * 99, *SEGMENTS), channel="each")
    assert [(item.clip_id, item.reason) for item in errors(items)] == [
        (segment.clip_id, "not_audio") for segment in SEGMENTS
    ]
    assert len(items) == len(SEGMENTS)


@pytest.mark.parametrize("data", [WAV, FLAC, MP3, HOLE], ids=["wav", "flac", "mp3", "hole"])
def test_spans_are_the_samples_of_the_windows(data: bytes) -> None:
    found = windows(cut(recording(data), channel="each"))
    for item in found[::3]:
        start = round(item.start_s * RATE)
        (samples,) = read_spans(
            recording(data), RATE, [(start, start + item.length)], str(item.channel), from_start=item.damaged
        )
        np.testing.assert_array_equal(samples, item.samples[: item.length])


def test_silence_is_a_recording_too() -> None:
    silence = encode(np.zeros(RATE * 2, np.float32), RATE)
    assert len(windows(cut(recording(silence)))) == 2
    assert len(windows(cut(recording(encode(tone(440, 0.01, RATE), RATE))))) == 1


def test_a_refused_recording_s_error_says_how_long_it_should_be() -> None:
    (error,) = cut(recording(WAV[: len(WAV) // 2]), damaged="refuse")
    assert isinstance(error, ClipError)
    assert (error.reason, error.heard_s) == ("truncated", 0.0)
    assert error.stated_s == pytest.approx(SECONDS)


def test_a_segment_behind_the_end_says_what_to_do_where_its_times_are_another_s() -> None:
    (error,) = errors(cut(recording(WAV, Segment("a" * 32, 58.5, 62.5))))
    assert "give --no-segments" in error.message
    (error,) = errors(cut(recording(WAV, Segment("a" * 32, 2.0, 62.5))))
    assert "--no-segments" not in error.message
