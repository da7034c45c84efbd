"""A Parquet file with audio in it: opening it, and planning its shards by row group."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.inputs.shards import Shard, printable, shard_id
from pipeline.storage.filesystem import open_filesystem, resolve
from pipeline.storage.retrying_file import RetryingFile

_AUDIO_COLUMNS = ("audio", "bytes")
# Column chunks are read through a buffer rather than whole.
_BUFFER_BYTES = 1 << 20


@contextmanager
def open_parquet(root_url: str, uri: str) -> Iterator[pq.ParquetFile]:
    """Open a Parquet file; raises OSError or pyarrow.ArrowException where it is missing or damaged."""
    fs, path = open_filesystem(resolve(root_url, uri))
    with RetryingFile(fs, path, f"reading {printable(uri)}") as stream:
        yield pq.ParquetFile(stream, buffer_size=_BUFFER_BYTES, pre_buffer=False)


def audio_column(schema: pa.Schema) -> str | None:
    """Return the column that holds audio, a struct with `bytes` or a binary; None when there is none."""
    for name in _AUDIO_COLUMNS:
        index = schema.get_field_index(name)
        if index >= 0 and (_is_binary(schema.field(index).type) or _is_audio_struct(schema.field(index).type)):
            return name
    return None


def wrong_audio(schema: pa.Schema) -> str | None:
    """Return what is wrong with a table without `audio_column` that seems to be of audio; None when it does not."""
    for name in _AUDIO_COLUMNS:
        kind = schema.field(name).type if schema.get_field_index(name) >= 0 else None
        # Text is what tables of labels name their files by.
        if kind is not None and not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
            return f"its column {name!r} is of {kind}; a struct with the field `bytes`, or binary, was expected"
    return None


def plan_parquet(root_url: str, uri: str, size_bytes: int, rows_per_shard: int, shard_bytes: int) -> list[Shard]:
    """Return a file's shards: whole row groups, for a part of one cannot be read without the rest of it.

    No shards for a file without an audio column. A damaged file is a shard too, and so is one whose audio column is of
    a wrong type: reading them tells what is wrong.
    """
    try:
        with open_parquet(root_url, uri) as file:
            if audio_column(file.schema_arrow) is None:
                if (wrong := wrong_audio(file.schema_arrow)) is None:
                    return []
                raise pa.ArrowInvalid(wrong)
            groups = [file.metadata.row_group(i) for i in range(file.num_row_groups)]
    except FileNotFoundError:
        raise
    except (pa.ArrowException, OSError):
        return [Shard(shard_id(uri, f"{uri}\0damaged"), "parquet", uri, size_bytes)]
    ranges: list[tuple[int, int, int]] = []
    row = 0
    for group in groups:
        start, stop, size = ranges[-1] if ranges else (0, 0, 0)
        if ranges and stop - start + group.num_rows <= rows_per_shard and size + group.total_byte_size <= shard_bytes:
            ranges[-1] = (start, row + group.num_rows, size + group.total_byte_size)
        else:
            ranges.append((row, row + group.num_rows, group.total_byte_size))
        row += group.num_rows
    return [
        Shard(shard_id(uri, f"{uri}\0{start}-{stop}"), "parquet", uri, size, row_start=start, row_stop=stop)
        for start, stop, size in ranges
    ]


def _is_binary(kind: pa.DataType) -> bool:
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind)


def _is_audio_struct(kind: pa.DataType) -> bool:
    return pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0 and _is_binary(kind.field("bytes").type)
