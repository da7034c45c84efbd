from __future__ import annotations

import io

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

from pipeline.audio.decode import decode
from pipeline.audio.flac import encode_flac
from pipeline.audio.pcm import from_pcm, from_pcm_tensor, round_to_pcm, to_pcm, to_pcm_tensor

waveforms = st_numpy.arrays(np.float32, st.integers(1, 400), elements=st.floats(-1.5, 1.5, width=32))


@given(waveforms, st.sampled_from([8000, 16000, 44100, 48000]))
def test_decoding_gives_exactly_what_was_rounded(waveform: np.ndarray, sample_rate: int) -> None:
    data = encode_flac(waveform, sample_rate)
    decoded, rate = soundfile.read(io.BytesIO(data), dtype="float32")
    assert rate == sample_rate
    np.testing.assert_array_equal(decoded, round_to_pcm(waveform))
    np.testing.assert_array_equal(decode(data, "a.flac", sample_rate).waveform, round_to_pcm(waveform))


@given(waveforms)
def test_rounding_moves_a_sample_by_at_most_half_a_step_and_only_once(waveform: np.ndarray) -> None:
    once = round_to_pcm(waveform)
    inside = np.clip(waveform, -1, 32767 / 32768)
    assert np.abs(once - inside).max() <= 0.5 / 32768
    np.testing.assert_array_equal(round_to_pcm(once), once)


def test_the_ends_of_the_grid() -> None:
    ends = round_to_pcm(np.array([-2, -1, 0, 1, 2], np.float32))
    np.testing.assert_array_equal(ends, np.array([-1, -1, 0, 32767 / 32768, 32767 / 32768], np.float32))


def test_nan_is_refused() -> None:
    with pytest.raises(ValueError, match="NaN or infinite"):
        encode_flac(np.array([0, np.nan], np.float32), 16000)


def test_only_mono_is_encoded() -> None:
    with pytest.raises(ValueError, match=r"mono waveform \[n\] is needed, got the shape \(2, 3\)"):
        encode_flac(np.zeros((2, 3), np.float32), 16000)


@given(waveforms)
def test_integers_tensors_and_arrays_are_rounded_alike(waveform: np.ndarray) -> None:
    once = round_to_pcm(waveform)
    np.testing.assert_array_equal(from_pcm(to_pcm(waveform)), once)
    np.testing.assert_array_equal(round_to_pcm(torch.from_numpy(waveform)).numpy(), once)
    assert once.dtype == np.float32


def test_every_integer_comes_back_and_what_is_not_finite_stays_so_until_it_must_be_one() -> None:
    integers = np.arange(-32768, 32768).astype(np.int16)
    np.testing.assert_array_equal(to_pcm(from_pcm(integers)), integers)
    assert to_pcm_tensor(from_pcm_tensor(torch.from_numpy(integers))).equal(torch.from_numpy(integers))
    assert round_to_pcm(torch.tensor([torch.nan])).isnan().all()


@pytest.mark.parametrize("n", [12_000, 16_000, 40_000, 160_000])
def test_players_can_seek_as_there_are_ten_blocks(n: int) -> None:
    data = encode_flac(np.sin(np.arange(n, dtype=np.float32)), 16_000)
    # STREAMINFO begins with the smallest and the largest block, in samples.
    assert n / int.from_bytes(data[10:12], "big") >= 10
