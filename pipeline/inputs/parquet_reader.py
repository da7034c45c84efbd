"""Parquet files with audio in them: by Hugging Face's convention, or a plain binary column."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.inputs.arrow_rows import class_names, rows_of
from pipeline.inputs.metadata import jsonable
from pipeline.inputs.parquet_file import audio_column, open_parquet, wrong_audio
from pipeline.inputs.recording import MAX_CLIP_BYTES, RawRecording, ReadFault, ReadReason, os_reason, too_large
from pipeline.inputs.shards import Shard, clip_id, printable
from pipeline.storage.filesystem import is_plain, join, open_filesystem, resolve, split_parent
from pipeline.storage.retry import retrying

# Recordings are held a batch at a time.
_BATCH_ROWS = 8


def read_parquet(
    root_url: str, shard: Shard, start: int, max_clip_bytes: int = MAX_CLIP_BYTES
) -> Iterator[RawRecording | ReadFault]:
    """Yield the recordings of rows `row_start` to `row_stop`, in order, from ordinal `start`.

    A cell without audio, or with a path that cannot be read, is a fault. So is a damaged part of the file: it
    takes the ordinal of the first row lost, and reading goes on at the next row group.
    """
    try:
        with open_parquet(root_url, shard.uri) as file:
            for row, item in _rows(file, shard, start):
                if isinstance(item, _Damage):
                    yield _lost(shard, row, item.stop, item.error)
                else:
                    yield _clip(root_url, shard, row, item, max_clip_bytes)
    except (pa.ArrowException, OSError) as error:
        if start == 0:
            yield _lost(shard, shard.row_start, shard.row_stop, error)


class _Damage(NamedTuple):
    """Rows up to `stop` that could not be read."""

    stop: int
    error: Exception


def _rows(file: pq.ParquetFile, shard: Shard, start: int) -> Iterator[tuple[int, dict[str, Any] | _Damage]]:
    audio = audio_column(file.schema_arrow)
    if audio is None:
        raise pa.ArrowInvalid(wrong_audio(file.schema_arrow) or "it has no column of audio any more")
    columns = [f.name for f in file.schema_arrow if f.name == audio or not pa.types.is_nested(f.type)]
    names = class_names(file.schema_arrow)
    # A file that was damaged when it was listed has no rows planned; it may have been mended since.
    wanted = range(shard.row_start + start, shard.row_stop or file.metadata.num_rows)
    stop = 0
    for group in range(file.num_row_groups):
        row, stop = stop, stop + file.metadata.row_group(group).num_rows
        if stop <= wanted.start or row >= wanted.stop:
            continue
        try:
            # Row group by row group, so that batches begin at the same rows wherever reading starts.
            for batch in file.iter_batches(_BATCH_ROWS, row_groups=[group], columns=columns):
                for offset, cells in enumerate(rows_of(batch)):
                    if row + offset in wanted:
                        cells |= {name: pick(cells[name]) for name, pick in names.items()}
                        yield row + offset, {"audio": cells.pop(audio)} | {"metadata": cells}
                row += batch.num_rows
        except (pa.ArrowException, OSError) as error:
            if row in wanted:
                yield row, _Damage(min(stop, wanted.stop), error)


def _clip(
    root_url: str, shard: Shard, row: int, cells: dict[str, Any], max_clip_bytes: int
) -> RawRecording | ReadFault:
    ordinal, identity = row - shard.row_start, clip_id(f"{shard.uri}\0{row}")
    cell = cells["audio"]
    data: bytes | None = cell.get("bytes") if isinstance(cell, dict) else cell
    path: str | None = cell.get("path") if isinstance(cell, dict) else None
    key = _key(shard, row, path)

    def fault(reason: ReadReason, words: str, size: int = 0) -> ReadFault:
        return ReadFault(ordinal, identity, key, reason, f"{printable(shard.uri)}, row {row}: {words}", size)

    if data is None:
        if path is None:
            return fault("null_audio", "its audio cell is null")
        if not is_plain(path):
            return fault("missing", f"it has no bytes, and {printable(path)!r} does not lie beside the file")
        try:
            data = _read_beside(root_url, shard.uri, path)
        except OSError as error:
            reason, words = os_reason(error)
            return fault(reason, f"{printable(path)}: {words}")
    if len(data) > max_clip_bytes:
        return fault("too_large", too_large(len(data), max_clip_bytes), len(data))
    metadata = {name: jsonable(value) for name, value in cells["metadata"].items()}
    return RawRecording(ordinal, identity, key, posixpath.basename(printable(path or key)), data, metadata)


def _key(shard: Shard, row: int, path: str | None) -> str:
    if path:
        # Data sets often keep the absolute path of the machine that made them: only the name is of use.
        return printable(posixpath.basename(path) if path.startswith("/") else path)
    return printable(f"{posixpath.splitext(posixpath.basename(shard.uri))[0]}-{row}")


def _read_beside(root_url: str, uri: str, path: str) -> bytes:
    folder = split_parent(resolve(root_url, uri))[0]
    fs, full = open_filesystem(join(folder, path))
    return bytes(retrying(lambda: fs.cat_file(full), what=f"reading {printable(path)}"))


def _lost(shard: Shard, row: int, stop: int, error: Exception) -> ReadFault:
    reason, words = os_reason(error) if isinstance(error, OSError) else ("shard_unreadable", str(error))
    shown, ordinal = printable(shard.uri), row - shard.row_start
    # The rows of a file that was damaged when it was listed are not known.
    lost = f"rows {row} to {stop} are lost" if stop else "all of its rows are lost"
    message = f"{shown}: {words}; {lost}"
    return ReadFault(ordinal, clip_id(f"{shard.uri}\0{row}"), shown, reason, message, shard.size_bytes)
