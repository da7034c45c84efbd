"""The recordings of a Parquet file, row by row."""

from __future__ import annotations

import posixpath
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

_BATCH_ROWS = 16


def parquet_recordings(
    uri: str, stream: IO[bytes], reading: InputConfig, census: Census, beside: Callable[[str], bytes]
) -> Iterator[Counted]:
    """Yield the recording, or the segment of one, of each row; what cannot be read is noted in the census.

    `beside` reads the file that a row names instead of having its sound.
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
    """The file that a cell holds or names; none where it holds samples, or nothing."""
    data = cell.get("bytes") if isinstance(cell, dict) else cell
    if isinstance(data, bytes):
        return data
    samples = isinstance(cell, dict) and cell.get("array") is not None
    return beside(path.replace("\\", "/")) if path and not samples else b""


def sound_column(schema: pa.Schema, reading: InputConfig) -> str | None:
    """Return the column that holds sound; None where there is none."""
    features = features_of(schema).items()
    marked = [name for name, feature in features if isinstance(feature, dict) and feature.get("_type") == "Audio"]
    column = next((name for name in (reading.audio_column, *marked, "audio", "bytes") if name in schema.names), None)
    if column is None or not _holds_sound(schema.field(column).type, column in (reading.audio_column, *marked)):
        return None
    return column


def _holds_sound(kind: pa.DataType, said_so: bool) -> bool:
    """Whether a column may hold sound by its type; text does where something else says so."""
    if pa.types.is_struct(kind):
        return any(kind.get_field_index(name) >= 0 for name in ("bytes", "path", "array"))
    text = pa.types.is_string(kind) or pa.types.is_large_string(kind)
    return (
        said_so if text else pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_dictionary(kind)
    )


def _rows(batch: pa.RecordBatch, column: str) -> list[dict[str, Any]]:
    try:
        return list(batch.to_pylist())
    except (ValueError, OverflowError):
        # A column holds what Python has no value for, as text that is not UTF-8: the sound alone will do.
        cells = batch.column(column)
        data = cells.field("bytes") if pa.types.is_struct(cells.type) else cells
        return [{column: one} for one in data.to_pylist()]
