"""Decoding as a stream: the same samples wherever it begins, without seams, by ranges, of a channel or all."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, cast

import numpy as np
import pytest
import soxr

from pipeline.audio import resample
from pipeline.audio.decode import AudioFault, AudioFormat, Block, Damage, Ended, Item, collect, decode, stream_audio
from pipeline.audio.decoder_process import DecoderProcess
from tests.audio.make import encode, encode_av

RATE = 22_050
SECONDS = 6.0
NOISE = (0.2 * np.random.default_rng(0).standard_normal((round(SECONDS * RATE), 2))).astype(np.float32)
FILES = {
    "a.wav": encode(NOISE, RATE, "WAV", "PCM_16"),
    "a.flac": encode(NOISE, RATE, "FLAC", "PCM_16"),
    "a.ogg": encode(NOISE, RATE, "OGG", "VORBIS"),
    "a.mp3": encode(NOISE, RATE, "MP3", "MPEG_LAYER_III"),
    "a.m4a": encode_av(NOISE[:, 0].copy(), RATE, "ipod", "aac"),
}


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of a fraction of a second, so that a short recording has many."""
    monkeypatch.setattr(resample, "_BLOCK_FRAMES", 20_000)
    monkeypatch.setattr("pipeline.audio.decode._FAR_FRAMES", 1)
    monkeypatch.setattr("pipeline.audio.sndfile._BLOCK_SAMPLES", 8_000)


class Counting(io.BytesIO):
    """A file that counts the bytes that are read of it."""

    count = 0

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        self.count += len(data)
        return data

    def readinto(self, buffer: object, /) -> int:
        n = super().readinto(buffer)  # type: ignore[arg-type]
        self.count += n
        return n


@dataclass(frozen=True)
class Stored:
    """A file in storage."""

    data: bytes

    @property
    def size_bytes(self) -> int:
        return len(self.data)

    def open(self) -> BinaryIO:
        return io.BytesIO(self.data)


def samples_of(items: Iterator[Item], start: int = 0) -> np.ndarray:
    """The samples `[channels, n]` of blocks from `start` on, which follow each other."""
    at, pieces = None, []
    for item in items:
        if isinstance(item, Block) and item.samples.shape[1]:
            assert at in (None, item.start)
            at = item.start + item.samples.shape[1]
            pieces.append(item.samples[:, max(0, start - item.start) :])
    return np.concatenate(pieces, axis=1)


@pytest.mark.parametrize("sample_rate", [16_000, 22_050, 32_000, 8_000])
def test_blocks_join_without_a_seam(small_blocks: None, sample_rate: int) -> None:
    items = list(stream_audio(io.BytesIO(FILES["a.wav"]), "a", sample_rate))
    whole = samples_of(iter(items))[0]
    assert sum(isinstance(item, Block) for item in items) > 10
    mono = decode(FILES["a.wav"], "a", RATE).waveform
    at_once = soxr.resample(mono, RATE, sample_rate, quality="HQ") if sample_rate != RATE else mono
    np.testing.assert_allclose(whole, at_once, atol=3e-6)
    assert items[0] == AudioFormat(RATE, 2, SECONDS)
    assert items[-1] == Ended(len(at_once))


def test_a_recording_of_one_block_is_what_soxr_makes_of_it_at_once() -> None:
    mono = decode(FILES["a.flac"], "a", RATE).waveform
    np.testing.assert_array_equal(decode(FILES["a.flac"], "a", 16_000).waveform, soxr.resample(mono, RATE, 16_000))


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("start", [1, 15_999, 50_000, 80_000])
def test_from_any_sample_on_it_is_bit_for_bit_the_same(small_blocks: None, name: str, start: int) -> None:
    whole = samples_of(stream_audio(io.BytesIO(FILES[name]), name, 16_000))
    rest = samples_of(stream_audio(io.BytesIO(FILES[name]), name, 16_000, spans=((start, None),)), start)
    np.testing.assert_array_equal(rest, whole[:, start:])


@pytest.mark.parametrize("name", FILES)
def test_spans_are_read_alone_and_others_are_skipped_where_the_format_allows(small_blocks: None, name: str) -> None:
    whole = samples_of(stream_audio(io.BytesIO(FILES[name]), name, 16_000))
    file = Counting(FILES[name])
    items = list(stream_audio(file, name, 16_000, spans=((70_000, 72_000), (20_000, 21_000))))
    blocks = [item for item in items if isinstance(item, Block) and item.samples.shape[1]]
    for start, stop in ((20_000, 21_000), (70_000, 72_000)):
        held = [block for block in blocks if block.start < stop and block.start + block.samples.shape[1] > start]
        piece = np.concatenate([block.samples for block in held], axis=1)[:, start - held[0].start :]
        np.testing.assert_array_equal(piece[:, : stop - start], whole[:, start:stop])
    assert sum(block.samples.shape[1] for block in blocks) < 40_000
    if name == "a.wav":
        assert file.count < 0.4 * len(FILES[name])


def test_channels_are_mixed_chosen_or_all(small_blocks: None) -> None:
    def of(channel: str) -> np.ndarray:
        return samples_of(stream_audio(io.BytesIO(FILES["a.flac"]), "a", 16_000, channel=channel))

    both = of("each")
    assert both.shape == (2, round(SECONDS * 16_000))
    np.testing.assert_array_equal(of("1")[0], both[0])
    np.testing.assert_array_equal(of("2")[0], both[1])
    np.testing.assert_allclose(of("mix")[0], both.mean(axis=0), atol=1e-5)
    with pytest.raises(AudioFault, match="it has 2 channels, and --channel asks for number 3") as caught:
        of("3")
    assert caught.value.reason == "no_such_channel"


@pytest.mark.parametrize("name", FILES)
def test_a_stored_file_is_read_by_ranges_that_the_child_asks_for(name: str) -> None:
    with DecoderProcess() as decoder:
        there = collect(decoder.stream(Stored(FILES[name]), name, 16_000))
        np.testing.assert_array_equal(there.waveform, decode(FILES[name], name, 16_000).waveform)
        assert collect(decoder.stream(FILES[name], name, 16_000)).damage == there.damage == ()


def test_what_is_skipped_is_no_more_than_a_sign_of_life() -> None:
    span = (round(70 * RATE), round(71 * RATE))
    long = encode(np.concatenate([NOISE] * 12), RATE, "MP3", "MPEG_LAYER_III")
    with DecoderProcess() as decoder:
        items = list(decoder.stream(long, "a", RATE, spans=(span,)))
    blocks = [item for item in items if isinstance(item, Block)]
    assert [block.samples.shape[1] for block in blocks[:-1]] == [0] * (len(blocks) - 1)
    held = blocks[-1]
    here = samples_of(stream_audio(io.BytesIO(long), "a", RATE))[0]
    assert held.start <= span[0]
    assert held.start + held.samples.shape[1] >= span[1]
    np.testing.assert_array_equal(held.samples[0], here[held.start : held.start + held.samples.shape[1]])


def test_storage_that_fails_is_no_fault_of_the_file() -> None:
    class Failing(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            raise PermissionError("no more")

    @dataclass(frozen=True)
    class Unreadable(Stored):
        def open(self) -> BinaryIO:
            return cast(BinaryIO, Failing(self.data))

    with DecoderProcess() as decoder:
        with pytest.raises(PermissionError, match="no more"):
            collect(decoder.stream(Unreadable(FILES["a.wav"]), "a", 16_000))
        assert len(collect(decoder.stream(FILES["a.wav"], "a", 16_000)).waveform) == SECONDS * 16_000


def test_a_reader_that_stops_in_the_middle_does_not_spoil_the_next_recording() -> None:
    with DecoderProcess() as decoder:
        items = decoder.stream(FILES["a.wav"], "a", 16_000)
        assert isinstance(next(items), AudioFormat)
        items.close()  # type: ignore[attr-defined]
        assert len(collect(decoder.stream(FILES["a.flac"], "a", 16_000)).waveform) == SECONDS * 16_000


def test_what_comes_before_damage_is_heard_and_the_timeline_is_ffmpegs() -> None:
    data = bytearray(FILES["a.flac"])
    at = len(data) // 2
    data[at : at + 2000] = bytes(2000)
    audio = decode(bytes(data), "a", RATE)
    whole = decode(FILES["a.flac"], "a", RATE).waveform
    assert {one.reason for one in audio.damage} == {"damaged"}
    lost = len(whole) - len(audio.waveform)
    assert 0 < lost < 2 * RATE
    before = next(i for i in range(len(audio.waveform)) if audio.waveform[i] != whole[i])
    assert before > 2 * RATE
    np.testing.assert_array_equal(audio.waveform[before:], whole[before + lost :])


def test_damage_comes_before_the_block_that_it_is_in(small_blocks: None) -> None:
    samples = NOISE[:, 0].copy()
    samples[90_000] = np.nan
    kinds = [type(item) for item in stream_audio(io.BytesIO(encode(samples, RATE, "WAV", "FLOAT")), "a", RATE)]
    assert kinds.index(Damage) == 1 + 90_000 // 20_000
    assert kinds.count(Damage) == 1
