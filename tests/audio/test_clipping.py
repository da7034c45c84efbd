"""Clipped samples are counted where they are, whatever became of them afterwards."""

from __future__ import annotations

import io

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from pipeline.audio.clipping import ClippedSamples, at_full_scale, at_new_rate, flat_peaks
from pipeline.audio.decode import Block, stream_audio
from pipeline.audio.decoder_process import DecoderProcess

RATE = 44_100
NOISE: NDArray[np.float32] = np.random.default_rng(1).standard_normal(3 * RATE).astype(np.float32) * np.float32(0.1)


def wav(samples: NDArray[np.float32], subtype: str = "PCM_16") -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, RATE, subtype, format="WAV")
    return file.getvalue()


def heard(data: bytes, channel: str = "mix", rate: int = 32_000) -> list[float]:
    """The share of clipped samples in each channel."""
    blocks = [item for item in stream_audio(io.BytesIO(data), "a.wav", rate, channel) if isinstance(item, Block)]
    n = sum(block.samples.shape[1] for block in blocks)
    return [sum(len(block.clipped[channel]) for block in blocks) / n for channel in range(len(blocks[0].clipped))]


@pytest.mark.parametrize("rate", [16_000, 32_000, RATE, 48_000])
@pytest.mark.parametrize("limit", [1.0, 0.5])
def test_the_share_is_that_of_the_original(rate: int, limit: float) -> None:
    slow = np.repeat(NOISE[: len(NOISE) // 16], 16)[: 2 * RATE]  # peaks of many samples, as real ones have
    smooth = np.convolve(slow, np.hanning(24) / np.hanning(24).sum(), mode="same").astype(np.float32)
    loud = np.clip(smooth * 8, -1, 1)
    expected = float((np.abs(loud) >= 1).mean())
    assert expected > 0.05
    assert heard(wav(loud * np.float32(limit)), rate=rate)[0] == pytest.approx(expected, rel=0.1)


def test_what_is_not_clipped_has_none() -> None:
    t = np.arange(2 * RATE) / RATE
    sounds = {
        "noise": NOISE,
        "normalised": NOISE / np.abs(NOISE).max(),
        "a slow wave": 0.1 * np.sin(2 * np.pi * 50 * t),
        "a loud wave": 0.9 * np.sin(2 * np.pi * 440 * t),
        "silence": np.zeros(RATE),
    }
    for name, sound in sounds.items():
        assert heard(wav(sound.astype(np.float32))) == [pytest.approx(0, abs=1e-4)], name
    assert heard(wav((0.5 * np.sin(2 * np.pi * 440 * t)).astype(np.float32), "PCM_U8"))[0] < 1e-3


def test_a_channel_that_is_clipped_is_counted_in_the_mix() -> None:
    loud = np.clip(NOISE * 12, -1, 1)
    stereo = wav(np.stack([loud, NOISE], axis=1))
    left, right = heard(stereo, "each")
    assert left > 0.1
    assert right == 0
    assert heard(stereo)[0] == pytest.approx(left, rel=0.05)
    assert heard(stereo, "2") == [0.0]


def test_a_child_process_counts_the_same() -> None:
    data = wav(np.clip(NOISE * 12, -1, 1))
    with DecoderProcess() as decoder:
        there = [item for item in decoder.stream(data, "a.wav", 32_000) if isinstance(item, Block)]
    here = [item for item in stream_audio(io.BytesIO(data), "a.wav", 32_000) if isinstance(item, Block)]
    assert len(here) == len(there) > 0
    for mine, other in zip(here, there, strict=True):
        assert np.array_equal(mine.samples, other.samples)
        assert len(mine.clipped[0])
        assert np.array_equal(mine.clipped[0], other.clipped[0])


def test_beyond_full_scale_counts_and_a_single_peak_at_it_does_not() -> None:
    frames = np.float32([[0.5], [1.2], [0.5], [32767 / 32768], [0.5], [-1.0], [-1.0]])
    assert at_full_scale(frames)[:, 0].tolist() == [False, True, False, False, False, True, True]


def test_clipped_samples_are_counted_by_window() -> None:
    held = ClippedSamples()
    held.add(100, (np.int32([0, 5, 9]), np.int32([])))
    held.add(110, (np.int32([0]), np.int32([3])))
    assert held.count(0, 100, 106) == 2
    assert held.count(0, 105, 120) == 3
    assert (held.count(1, 100, 110), held.count(1, 110, 120)) == (0, 1)


def test_flat_peaks_move_to_a_new_rate_with_their_share() -> None:
    clipped = flat_peaks(np.clip(np.repeat(NOISE, 8)[None, :RATE] * 5, -0.5, 0.5).astype(np.float32))
    (places,) = at_new_rate(clipped, RATE, 16_000, 16_000)
    assert len(places) / 16_000 == pytest.approx(clipped.mean(), rel=0.05)
