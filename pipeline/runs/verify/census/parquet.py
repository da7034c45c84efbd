"""Count the recordings of a Parquet file, row by row."""

from __future__ import annotations

import io
import posixpath
import wave
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.runs.verify.census.counted import Census, Counted, digest
from pipeline.runs.verify.census.meaning import spanned
from pipeline.runs.verify.census.rows import class_names, features_of, with_names
from schemas.input_config import InputConfig

_BATCH_ROWS, _MAX_CHANNELS = 16, 64
_RATES = ("sampling_rate", "sample_rate")


def parquet_recordings(
    uri: str, stream: IO[bytes], reading: InputConfig, census: Census, beside: Callable[[str], bytes]
) -> Iterator[Counted]:
    """Yield the recording, or the segment of one, of each row; what cannot be read is noted in the census.

    `beside` reads the file that a row names if it does not hold the sound itself.
    """
    try:
        file = pq.ParquetFile(stream)
    except (pa.ArrowException, OSError) as error:
        census.uncounted.append((f"{uri}: {error}", (digest(f"{uri}\x000"),)))
        return
    schema = file.schema_arrow
    column = sound_column(schema, reading)
    if column is None:
        census.others += 1
        return
    classes = class_names(schema)
    row = 0
    try:
        for batch in file.iter_batches(_BATCH_ROWS):
            for said in _rows(batch, column):
                cell = said.pop(column)
                if column == "array":
                    cell = {column: cell, **{name: said.pop(name) for name in _RATES if name in said}}
                said = with_names(said, classes)

                path = cell.get("path") if isinstance(cell, dict) else cell if isinstance(cell, str) else None
                read = partial(_content, cell, path, beside)
                path = (path or "").replace("\\", "/").removeprefix("./")
                if path.startswith("/") or path[1:3] == ":/":
                    path = posixpath.basename(path)
                path = path or f"{posixpath.basename(uri).removesuffix('.parquet')}-{row}"
                for one in spanned(digest(f"{uri}\0{row}"), f"{uri}, row {row}", read, said, reading):
                    yield replace(one, names=(path,), whole=path)
                row += 1
    except (pa.ArrowException, OSError) as error:
        lost = tuple(digest(f"{uri}\0{number}") for number in range(row, file.metadata.num_rows))
        census.uncounted.append((f"{uri}, from row {row}: {error}", lost))


def _content(cell: Any, path: str | None, beside: Callable[[str], bytes]) -> bytes:
    """Return the file that a cell holds or names, or one as long as its samples; empty if it has none."""
    data = cell.get("bytes") if isinstance(cell, dict) else cell
    if isinstance(data, bytes):
        return data
    if isinstance(cell, dict) and cell.get("array") is not None:
        return _silence(cell["array"], next((cell[name] for name in _RATES if cell.get(name)), 0))
    return beside(path.replace("\\", "/")) if path else b""


def _silence(array: list[Any], rate: int) -> bytes:
    """Return a silent file with as many frames as an array, which may be `[n]`, `[channels, n]` or `[n, channels]`."""
    inner = len(array[0]) if array and isinstance(array[0], list) else 0
    buffer = io.BytesIO()
    if not 0 < rate < 1 << 31:
        return b""
    with wave.open(buffer, "wb") as file:
        file.setparams((1, 1, int(rate), 0, "NONE", ""))
        file.writeframes(bytes(inner if len(array) <= _MAX_CHANNELS < inner else len(array)))
    return buffer.getvalue()


def sound_column(schema: pa.Schema, reading: InputConfig) -> str | None:
    """Return the column that holds sound; None if there is none."""
    features = features_of(schema).items()
    marked = [name for name, feature in features if isinstance(feature, dict) and feature.get("_type") == "Audio"]
    wanted = (reading.audio_column, *marked, "audio", "bytes", *("array" for name in _RATES if name in schema.names))
    column = next((name for name in wanted if name in schema.names), None)
    if column is None:
        return None
    kind = schema.field(column).type
    if column == "array":
        return column if pa.types.is_list(kind) or pa.types.is_large_list(kind) else None
    return column if _holds_sound(kind, column in (reading.audio_column, *marked)) else None


def _holds_sound(kind: pa.DataType, said_so: bool) -> bool:
    """Whether a column may hold sound, by its type; text may only if something else says so."""
    if pa.types.is_struct(kind):
        return any(kind.get_field_index(name) >= 0 for name in ("bytes", "path", "array"))
    if any(ask(kind) for ask in (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)):
        return said_so
    asked = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_binary_view, pa.types.is_fixed_size_binary)
    return any(ask(kind) for ask in (*asked, pa.types.is_dictionary))


def _rows(batch: pa.RecordBatch, column: str) -> list[dict[str, Any]]:
    try:
        return list(batch.to_pylist())
    except (ValueError, OverflowError):
        # Some column has values that Python cannot hold, such as text that is not UTF-8: the sound alone will do.
        cells = batch.column(column)
        data = cells.field("bytes") if pa.types.is_struct(cells.type) else cells
        return [{column: one} for one in data.to_pylist()]
