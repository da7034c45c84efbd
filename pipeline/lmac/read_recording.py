"""Read one recording: from a path, a URL, the bytes of a file, or an array with its rate."""

from __future__ import annotations

import io
import os
import posixpath
import warnings
from typing import Any, TypeAlias

import numpy as np
import soundfile
from numpy.typing import NDArray

from pipeline.audio.decode import AudioFault, DecodedAudio, decode
from pipeline.audio.stream import MAX_CHANNELS, MAX_RATE
from pipeline.storage.errors import InputError, storage_errors
from pipeline.storage.filesystem import display_url, is_url, open_filesystem, refuse_special
from pipeline.storage.retry import retrying

RecordingSource: TypeAlias = "str | os.PathLike[str] | bytes | tuple[Any, float]"


def read_recording(
    source: RecordingSource, sample_rate: int, max_seconds: float | None = None
) -> tuple[str, DecodedAudio]:
    """Return a display name and a mono waveform `[n]` at `sample_rate` in Hz, decoded and resampled as in a run.

    `source` is a path or any fsspec URL of one audio file, the bytes of one, or `(samples, rate)` as
    `samples_by_channel` takes them; channels are averaged. The readable part of a damaged file is used, with a warning
    that says what is missing.
    Raises InputError if `source` is none of these or holds no usable audio, StorageError if it cannot be read.

    >>> name, audio = read_recording((np.zeros((2, 44_100)), 44_100), sample_rate=32_000)
    >>> name, audio.waveform.shape, audio.sample_rate_in, audio.channels_in
    ('array', (32000,), 44100, 2)
    """
    if isinstance(source, (bytes, bytearray, memoryview)):
        name, data = "bytes", bytes(source)
    elif isinstance(source, tuple) and len(source) == 2:
        # Through a WAV of floats, which is lossless, so that arrays are mixed and resampled just like files.
        name, data = "array", _as_wav(*source)
    elif isinstance(source, (str, os.PathLike)):
        name, data = _read_file(os.fspath(source))
    else:
        raise InputError(
            "a recording is a path, a URL, the bytes of an audio file, or (samples, rate), as in "
            f"explain((samples, 44100)); got {type(source).__name__}"
        )
    try:
        audio = decode(data, name, sample_rate, max_seconds)
    except AudioFault as fault:
        raise InputError(fault.message.replace("--max-clip-seconds", "max_seconds")) from fault
    if isinstance(source, tuple) and audio.damage:
        raise InputError(f"{name}: it has samples that are NaN or infinite")
    for damage in audio.damage:
        warnings.warn(f"{name}: {damage.message}; the readable part is used", stacklevel=3)
    return name, audio


def samples_by_channel(samples: Any) -> NDArray[np.float32]:
    """Convert samples `[n]`, `[channels, n]` or `[n, channels]` to float32 `[n, channels]`, full scale at 1.

    The axes are never ambiguous: there are at most 64 channels, and there must be more samples than that. Integers
    are PCM, with full scale at the end of their range (unsigned ones are centred on its middle); floats are taken as
    they are. Arrays, tensors and lists are accepted.
    Raises InputError for other shapes and types.

    >>> samples_by_channel(np.int16([[0, -32768] * 50])).shape
    (100, 1)
    """
    try:
        array = np.asarray(samples.detach().cpu() if hasattr(samples, "detach") else samples)
    except (ValueError, TypeError):
        raise InputError("samples are an array, a tensor or lists of equal length, got lists that differ") from None
    if array.dtype.kind not in "iuf":
        raise InputError(f"samples are integers or floats, got an array of {array.dtype}")
    if array.ndim == 1:
        array = array[:, None]
    elif array.ndim != 2 or not min(array.shape) <= MAX_CHANNELS < max(array.shape):
        raise InputError(
            f"samples are [n], or [channels, n] or [n, channels] with at most {MAX_CHANNELS} channels and more samples "
            f"than that, got the shape {list(array.shape)}"
        )
    elif array.shape[0] <= MAX_CHANNELS:
        array = array.T
    if array.dtype.kind == "f":
        return array.astype(np.float32)
    half = 2.0 ** (8 * array.dtype.itemsize - 1)
    return ((array - half * (array.dtype.kind == "u")) / half).astype(np.float32)


def _as_wav(samples: Any, rate: float) -> bytes:
    by_channel = samples_by_channel(samples)
    number = isinstance(rate, (int, float, np.integer, np.floating))
    if not number or not 1 <= rate <= MAX_RATE or not float(rate).is_integer():
        raise InputError(f"a sample rate is a whole number of Hz, 1 to {MAX_RATE}, got {rate!r}")
    buffer = io.BytesIO()
    soundfile.write(buffer, by_channel, int(rate), format="WAV", subtype="FLOAT")
    return buffer.getvalue()


def _read_file(url: str) -> tuple[str, bytes]:
    shown = display_url(url)
    fs, path = open_filesystem(url)
    with storage_errors(what := f"reading {shown}"):
        try:
            refuse_special(fs, path)
            data = bytes(retrying(lambda: fs.cat_file(path), what=what))
        except IsADirectoryError:
            raise InputError(
                f"{shown} is a folder: give one recording; `lmac explain` takes a folder of them"
            ) from None
    name = posixpath.basename(shown.partition("?")[0]) if is_url(url) else os.path.basename(path)
    return name, data
