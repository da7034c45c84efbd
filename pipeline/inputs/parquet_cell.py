"""Turn a cell of audio into the bytes of a file: from bytes, the path of a file, or samples with their rate."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pyarrow as pa
import soundfile

from pipeline.audio.stream import MAX_CHANNELS, MAX_RATE
from pipeline.inputs.parquet_file import RATE_NAMES
from pipeline.inputs.recording import ReadReason
from pipeline.inputs.shards import printable
from pipeline.inputs.spelling import folded, spellings
from pipeline.storage.filesystem import is_plain, join, open_filesystem, resolve, split_parent
from pipeline.storage.retry import retrying


class NoSoundError(Exception):
    """A cell holds no sound; `reason` says why."""

    def __init__(self, reason: ReadReason, words: str) -> None:
        super().__init__(words)
        self.reason = reason


class Cell:
    """Reads the files that the cells of one Parquet file name; keeps the last, as consecutive rows often share one."""

    def __init__(self, root_url: str, uri: str) -> None:
        self._folders = dict.fromkeys((split_parent(resolve(root_url, uri))[0], root_url))
        self._last: tuple[str, bytes] = ("", b"")

    def beside(self, path: str) -> bytes:
        """Return the file at a path relative to the Parquet file's folder or to the input's root.

        Raises NoSoundError for a path that leads out of them, OSError if nothing is there.
        """
        if path == self._last[0]:
            return self._last[1]
        if path.startswith("/") or not is_plain(folded(path)):
            raise NoSoundError("missing", f"it has no bytes, and {printable(path)!r} does not lie beside the file")
        places = [join(folder, one.removeprefix("./")) for folder in self._folders for one in spellings(path)]
        for place in places:
            fs, full = open_filesystem(place)
            try:
                data = bytes(retrying(lambda: fs.cat_file(full), what=f"reading {printable(path)}"))  # noqa: B023
            except FileNotFoundError:
                if place == places[-1]:
                    raise
            else:
                self._last = path, data
                return data
        raise AssertionError("there is a place to look at")


def sound_of(cell: Any, kind: pa.DataType, files: Cell) -> bytes:
    """Return a cell's audio as the bytes of a file; `kind` is its column's type.

    Raises NoSoundError, and OSError as reading a file does.
    """
    if isinstance(cell, (bytes, bytearray)):
        return bytes(cell)
    if isinstance(cell, str):
        return files.beside(cell)
    if isinstance(cell, dict):
        if cell.get("bytes") is not None:
            return bytes(cell["bytes"])
        if cell.get("array") is not None:
            rate = next((cell[name] for name in RATE_NAMES if cell.get(name) is not None), None)
            return _wav(cell["array"], rate, _number_type(kind))
        if cell.get("path"):
            return files.beside(cell["path"])
    raise NoSoundError("null_audio", "its audio cell is null")


def _wav(array: Any, rate: Any, number: pa.DataType | None) -> bytes:
    """Return samples `[n]`, `[channels, n]` or `[n, channels]` as a WAV of floats; integers are PCM of their width."""
    try:
        samples = np.asarray(array, np.float64)
    except (TypeError, ValueError):
        raise NoSoundError("unreadable", "its array is no list of numbers, or of lists of one length") from None
    if not isinstance(rate, (int, float)) or not 1 <= rate <= MAX_RATE or rate != int(rate):
        raise NoSoundError("unreadable", f"its sampling rate is {rate!r}, not a whole number of Hz up to {MAX_RATE}")
    if samples.ndim == 2 and samples.shape[0] <= MAX_CHANNELS < samples.shape[1]:
        samples = samples.T
    if samples.ndim not in (1, 2) or (samples.ndim == 2 and samples.shape[1] > MAX_CHANNELS):
        raise NoSoundError("unreadable", f"its array has the shape {list(samples.shape)}, not [n] or [channels, n]")
    if number is not None and pa.types.is_integer(number):
        half = 2.0 ** (number.bit_width - 1)
        samples = (samples - half * pa.types.is_unsigned_integer(number)) / half
    buffer = io.BytesIO()
    soundfile.write(buffer, samples.astype(np.float32), int(rate), format="WAV", subtype="FLOAT")
    return buffer.getvalue()


def _number_type(kind: pa.DataType) -> pa.DataType | None:
    kind = kind.field("array").type if pa.types.is_struct(kind) else kind
    while pa.types.is_nested(kind) and kind.num_fields == 1:
        kind = kind.field(0).type
    return kind
