from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
import soundfile
import torch

from pipeline.audio.decode import decode
from pipeline.lmac.read_recording import RecordingSource, read_recording, samples_by_channel
from pipeline.storage.errors import InputError, StorageError
from schemas.errors import LmacError

RATE = 44_100
STEREO = np.random.default_rng(0).uniform(-0.5, 0.5, (2, 4_410)).astype(np.float32)


def wav(samples: np.ndarray, subtype: str = "FLOAT") -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, RATE, format="WAV", subtype=subtype)
    return buffer.getvalue()


EXPECTED = decode(wav(STEREO.T), "", 32_000).waveform


def test_a_path_a_url_and_bytes_are_decoded_as_in_a_run(tmp_path: Path) -> None:
    path = tmp_path / "two words.wav"
    path.write_bytes(wav(STEREO.T))
    fsspec.filesystem("memory").pipe_file("/there/dog.wav", path.read_bytes())
    sources: list[tuple[RecordingSource, str]] = [(str(path), "two words.wav"), (path, "two words.wav")]
    sources += [(f"file://{path}", "two words.wav"), ("memory://there/dog.wav", "dog.wav")]
    sources += [(path.read_bytes(), "bytes")]
    for source, shown in sources:
        name, audio = read_recording(source, 32_000)
        assert name == shown
        assert (audio.sample_rate_in, audio.channels_in) == (RATE, 2)
        np.testing.assert_array_equal(audio.waveform, EXPECTED)


@pytest.mark.parametrize(
    "samples",
    [STEREO, STEREO.T, STEREO.astype(np.float64), torch.from_numpy(STEREO), torch.from_numpy(STEREO).requires_grad_()],
    ids=["channels first", "samples first", "double", "tensor", "tensor with gradient"],
)
@pytest.mark.parametrize("rate", [RATE, float(RATE), np.int32(RATE)], ids=["int", "float", "numpy"])
def test_an_array_is_what_a_file_of_its_samples_is(samples: Any, rate: Any) -> None:
    name, audio = read_recording((samples, rate), 32_000)
    assert name == "array"
    assert (audio.sample_rate_in, audio.channels_in) == (RATE, 2)
    np.testing.assert_array_equal(audio.waveform, EXPECTED)


@pytest.mark.parametrize(
    ("dtype", "subtype"), [(np.int16, "PCM_16"), (np.int32, "PCM_32"), (np.uint8, "PCM_U8")], ids=str
)
def test_integers_are_pcm(dtype: type, subtype: str) -> None:
    file = wav(STEREO[0], subtype)
    waveform, _ = soundfile.read(io.BytesIO(file), dtype="int32")
    bits = 8 * np.dtype(dtype).itemsize
    samples = ((waveform >> (32 - bits)) + (128 if dtype is np.uint8 else 0)).astype(dtype)
    np.testing.assert_array_equal(
        read_recording((samples, RATE), 16_000)[1].waveform, decode(file, "", 16_000).waveform
    )


def test_one_axis_holds_the_channels_by_necessity() -> None:
    assert samples_by_channel(np.zeros(3)).shape == (3, 1)
    assert samples_by_channel([0.0] * 7).shape == (7, 1)
    assert samples_by_channel(np.zeros((64, 65))).shape == (65, 64)
    assert samples_by_channel(np.zeros((65, 64))).shape == (65, 64)
    assert samples_by_channel(np.zeros((1, 65))).shape == (65, 1)


@pytest.mark.parametrize("shape", [(2, 2), (2, 64), (64, 64), (65, 65), (1000, 2000), (), (1, 2, 1000)], ids=str)
def test_what_may_be_either_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=r"at most 64 channels and more samples than that, got the shape \["):
        samples_by_channel(np.zeros(shape))


@pytest.mark.parametrize("samples", [np.zeros(9, bool), np.zeros(9, complex), ["a"], [None]], ids=str)
def test_what_is_no_number_is_refused(samples: Any) -> None:
    with pytest.raises(InputError, match="samples are integers or floats"):
        samples_by_channel(samples)


@pytest.mark.parametrize("rate", [0, -1, 44_100.5, 2_000_000, 5e9, float("nan"), float("inf"), "44100", None], ids=str)
def test_a_rate_that_is_none_is_refused(rate: Any) -> None:
    with pytest.raises(InputError, match="a sample rate is a whole number of Hz, 1 to 1000000, got"):
        read_recording((STEREO, rate), 32_000)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (STEREO, r"explain\(\(samples, 44100\)\); got ndarray"),
        ((STEREO, RATE, 2), "got tuple"),
        (None, "got NoneType"),
        ((np.array([]), RATE), "array: .* holds no samples"),
        ((np.array([0, np.nan]), RATE), "array: it has samples that are NaN"),
        (([[0.1, 0.2], [0.1]], RATE), "lists of equal length"),
        (b"", "bytes: the file has no bytes"),
        (b"no audio " * 99, "bytes: "),
        ((np.zeros(11 * RATE, np.float32), RATE), "longer than 10 s"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_no_recording_is_named(source: Any, said: str) -> None:
    with pytest.raises(InputError, match=said):
        read_recording(source, 32_000, max_seconds=10)


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"not there\.wav: it does not exist"):
        read_recording(tmp_path / "not there.wav", 32_000)
    with pytest.raises(InputError, match="is a folder: give one recording; `lmac explain` takes a folder"):
        read_recording(tmp_path, 32_000)
    os.mkfifo(tmp_path / "pipe.wav")
    with pytest.raises(StorageError, match="a pipe"):
        read_recording(tmp_path / "pipe.wav", 32_000)
    with pytest.raises(LmacError):
        read_recording("nothing://like/this", 32_000)
