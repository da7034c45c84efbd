from __future__ import annotations

import io

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

from pipeline.audio.decode import decode
from pipeline.audio.flac import encode_flac, quantise

waveforms = st_numpy.arrays(np.float32, st.integers(1, 400), elements=st.floats(-1.5, 1.5, width=32))


@given(waveforms, st.sampled_from([8000, 16000, 44100, 48000]))
def test_decoding_gives_exactly_what_was_quantised(waveform: np.ndarray, sample_rate: int) -> None:
    data = encode_flac(waveform, sample_rate)
    decoded, rate = soundfile.read(io.BytesIO(data), dtype="float32")
    assert rate == sample_rate
    np.testing.assert_array_equal(decoded, quantise(waveform))
    np.testing.assert_array_equal(decode(data, "a.flac", sample_rate).waveform, quantise(waveform))


@given(waveforms)
def test_quantising_moves_a_sample_by_at_most_half_a_step_and_only_once(waveform: np.ndarray) -> None:
    once = quantise(waveform)
    inside = np.clip(waveform, -1, 32767 / 32768)
    assert np.abs(once - inside).max() <= 0.5 / 32768
    np.testing.assert_array_equal(quantise(once), once)


def test_the_ends_of_the_grid() -> None:
    ends = quantise(np.array([-2, -1, 0, 1, 2], np.float32))
    np.testing.assert_array_equal(ends, np.array([-1, -1, 0, 32767 / 32768, 32767 / 32768], np.float32))


def test_nan_is_refused() -> None:
    with pytest.raises(ValueError, match="NaN or infinite"):
        encode_flac(np.array([0, np.nan], np.float32), 16000)
