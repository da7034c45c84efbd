"""Parquet files with audio: open one, find its column of audio, and plan its shards by row group."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.audio.stream import LFS_POINTER
from pipeline.inputs.arrow_rows import features_of
from pipeline.inputs.shards import Shard, printable, shard_id
from pipeline.storage.errors import InputError
from pipeline.storage.filesystem import open_filesystem, resolve
from pipeline.storage.retrying_file import RetryingFile

_AUDIO_NAMES = ("audio", "bytes")
RATE_NAMES = ("sampling_rate", "sample_rate")
# Column chunks are read through a buffer rather than whole.
_BUFFER_BYTES = 1 << 20


@contextmanager
def open_parquet(root_url: str, uri: str) -> Iterator[pq.ParquetFile]:
    """Open a Parquet file; raises OSError or pyarrow.ArrowException if it is missing or damaged."""
    fs, path = open_filesystem(resolve(root_url, uri))
    with RetryingFile(fs, path, f"reading {printable(uri)}") as stream:
        try:
            file = pq.ParquetFile(stream, buffer_size=_BUFFER_BYTES, pre_buffer=False)
        except pa.ArrowInvalid:
            stream.seek(0)
            if stream.read(len(LFS_POINTER)) == LFS_POINTER:
                raise pa.ArrowInvalid("it is a Git LFS pointer, not the file itself: run `git lfs pull`") from None
            raise
        yield file


def audio_column(schema: pa.Schema, asked: str | None = None) -> str | None:
    """Return the column that holds audio; None when there is none.

    It is the one asked for; or the one that Hugging Face's metadata calls Audio; or `audio` or `bytes` with a fitting
    type; or the only struct with `bytes` and `path`, or `array` and `sampling_rate`; or `array` next to such a rate.
    Raises InputError if there are several.
    """
    if asked is not None:
        names = {name.casefold(): name for name in schema.names}
        return asked if asked in schema.names else names.get(asked.casefold())
    features = features_of(schema)
    kinds = {name: feature.get("_type") for name, feature in features.items() if isinstance(feature, dict)}
    of_audio = [name for name, kind in kinds.items() if kind == "Audio"]
    if not of_audio:
        of_audio = [name for name in _AUDIO_NAMES if name in schema.names and _holds_audio(schema.field(name).type)][:1]
    if not of_audio:
        of_audio = [f.name for f in schema if kinds.get(f.name) in (None, "Value") and _is_audio_struct(f.type)]
    if not of_audio and "array" in schema.names and any(name in schema.names for name in RATE_NAMES):
        of_audio = ["array"] if is_list(schema.field("array").type) else []
    if len(of_audio) > 1:
        raise InputError(f"it has several columns of audio, {', '.join(of_audio)}: choose one with --audio-column")
    return of_audio[0] if of_audio else None


def wrong_audio(schema: pa.Schema) -> str | None:
    """Return what is wrong with a table that seems to hold audio but has no `audio_column`; None for other tables."""
    for name in _AUDIO_NAMES:
        kind = schema.field(name).type if schema.get_field_index(name) >= 0 else None
        # In tables of labels such a column has text: the names of files.
        if kind is not None and not is_text(kind):
            return f"its column {name!r} is of {kind}; a struct with the field `bytes`, or binary, was expected"
    return None


def plan_parquet(
    root_url: str, uri: str, size_bytes: int, rows_per_shard: int, shard_bytes: int, asked: str | None = None
) -> list[Shard]:
    """Return a file's shards: whole row groups, as part of one cannot be read without the rest.

    A file without an audio column has no shards. A damaged file is a shard too, and so is one whose audio column has a
    wrong type: reading them says what is wrong.
    Raises InputError if it has several columns of audio.
    """
    try:
        with open_parquet(root_url, uri) as file:
            try:
                column = audio_column(file.schema_arrow, asked)
            except InputError as error:
                raise InputError(f"{printable(uri)}: {error}") from error
            if column is None:
                if asked is not None or (wrong := wrong_audio(file.schema_arrow)) is None:
                    return []
                raise pa.ArrowInvalid(wrong)
            groups = [file.metadata.row_group(i) for i in range(file.num_row_groups)]
    except FileNotFoundError:
        raise
    except (pa.ArrowException, OSError):
        return [Shard(shard_id(uri, f"{uri}\0damaged"), "parquet", uri, size_bytes, audio_column=asked)]
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
        Shard(shard_id(uri, f"{uri}\0{start}-{stop}"), "parquet", uri, size, (), start, stop, asked)
        for start, stop, size in ranges
    ]


def is_text(kind: pa.DataType) -> bool:
    """Return whether a column holds text, in any of Arrow's types."""
    kind = _plain(kind)
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)


def is_bytes(kind: pa.DataType) -> bool:
    """Return whether a column holds bytes, in any of Arrow's types."""
    kind = _plain(kind)
    fixed = pa.types.is_fixed_size_binary(kind) and not pa.types.is_decimal(kind)
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind) or fixed


def is_list(kind: pa.DataType) -> bool:
    """Return whether a column holds lists, in any of Arrow's types."""
    views = pa.types.is_list_view(kind) or pa.types.is_large_list_view(kind)
    return pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind) or views


def has_bytes(kind: pa.DataType) -> bool:
    """Return whether a column is a struct with bytes in it, as sounds and images are."""
    return pa.types.is_struct(kind) and any(is_bytes(kind.field(i).type) for i in range(kind.num_fields))


def _plain(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _holds_audio(kind: pa.DataType) -> bool:
    names = {kind.field(i).name for i in range(kind.num_fields)} if pa.types.is_struct(kind) else set()
    return is_bytes(kind) or _is_audio_struct(kind) or ("bytes" in names and is_bytes(kind.field("bytes").type))


def _is_audio_struct(kind: pa.DataType) -> bool:
    if not pa.types.is_struct(kind):
        return False
    names = {kind.field(i).name for i in range(kind.num_fields)}
    if "bytes" in names and "path" in names and is_bytes(kind.field("bytes").type):
        return True
    return "array" in names and bool(names & set(RATE_NAMES)) and is_list(kind.field("array").type)
