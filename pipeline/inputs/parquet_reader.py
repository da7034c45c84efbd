"""Read Parquet files with audio: by Hugging Face's convention, from a plain binary column, or arrays of samples."""

from __future__ import annotations

import posixpath
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.inputs.arrow_rows import class_names, rows_of, short
from pipeline.inputs.metadata import jsonable
from pipeline.inputs.parquet_cell import Cell, NoSoundError, sound_of
from pipeline.inputs.parquet_file import RATE_NAMES, audio_column, has_bytes, open_parquet, wrong_audio
from pipeline.inputs.recording import (
    MAX_CLIP_BYTES,
    RawRecording,
    ReadFault,
    ReadReason,
    Segment,
    os_reason,
    too_large,
)
from pipeline.inputs.shards import NOT_DRAWN, Shard, clip_id, printable, segment_id
from pipeline.inputs.times import TimeColumns, time_columns
from pipeline.storage.errors import InputError

# Recordings are held a batch at a time.
_BATCH_ROWS = 8


def read_parquet(
    root_url: str,
    shard: Shard,
    start: int = 0,
    max_clip_bytes: int = MAX_CLIP_BYTES,
    want: Callable[[str], bool] | None = None,
    left_out: Counter[str] | None = None,
) -> Iterator[RawRecording | ReadFault]:
    """Yield the recordings of rows `row_start` to `row_stop`, in order, from ordinal `start`.

    Only those whose `clip_id` `want` accepts are read; row groups without any of them are skipped. A cell without
    audio, or with a path that cannot be read, is a fault. So is each row of a damaged part of the file; reading goes on
    at the next row group.
    """
    uncounted: Counter[str] = Counter()
    wanted = _Wanted(shard, start, want, uncounted if left_out is None else left_out)
    try:
        with open_parquet(root_url, shard.uri) as file:
            rows = _Rows(root_url, shard, file, max_clip_bytes)
            for row, item in rows.read(wanted):
                yield rows.recording(row, item) if isinstance(item, dict) else _lost(shard, row, item)
    except (pa.ArrowException, OSError, InputError) as error:
        # If a file was damaged when it was listed, its rows are not known: one fault stands for them all.
        for row in range(shard.row_start, max(shard.row_stop, shard.row_start + 1)):
            if row - shard.row_start >= start:
                yield _lost(shard, row, error)


def names_in_parquet(root_url: str, shard: Shard) -> Iterator[tuple[str, str, str]]:
    """Yield the `clip_id`, the key and the file's own name of every recording of a shard; no audio is read."""
    try:
        with open_parquet(root_url, shard.uri) as file:
            audio = audio_column(file.schema_arrow, shard.audio_column)
            kind = file.schema_arrow.field(audio).type if audio is not None else pa.null()
            by_path = pa.types.is_struct(kind) and kind.get_field_index("path") >= 0
            column = f"{audio}.path" if by_path else audio
            texts = by_path or not (pa.types.is_nested(kind) or has_bytes(kind))
            row = 0
            for group in range(file.num_row_groups):
                count = file.metadata.row_group(group).num_rows
                if row + count > shard.row_start and row < (shard.row_stop or row + count):
                    paths: list[Any] = [None] * count
                    if texts:
                        cells = file.read_row_group(group, columns=[column]).column(0).to_pylist()
                        paths = [cell.get("path") if isinstance(cell, dict) else cell for cell in cells]
                    for number, path in enumerate(paths, start=row):
                        key = key_of(shard, number, path if isinstance(path, str) else None)
                        yield clip_id(f"{shard.uri}\0{number}"), key, posixpath.basename(key)
                row += count
    except (pa.ArrowException, OSError, InputError):
        # Reading it says what is wrong with it.
        return


class _Wanted:
    """Decides which rows of a shard are read; counts those that are not drawn."""

    def __init__(self, shard: Shard, start: int, want: Callable[[str], bool] | None, left_out: Counter[str]) -> None:
        self._shard, self._start, self._want, self._left_out = shard, start, want, left_out

    def among(self, first: int, stop: int) -> set[int]:
        """Return the rows to read from `first` up to `stop`; call it once for each row."""
        wanted = set()
        for row in range(max(first, self._shard.row_start), min(stop, self._shard.row_stop or stop)):
            identity = clip_id(f"{self._shard.uri}\0{row}")
            if not self._shard.draws(identity):
                self._left_out[NOT_DRAWN] += 1
            elif row >= self._shard.row_start + self._start and (self._want is None or self._want(identity)):
                wanted.add(row)
        return wanted


class _Rows:
    """Reads the rows of a file, and makes recordings of them."""

    def __init__(self, root_url: str, shard: Shard, file: pq.ParquetFile, max_clip_bytes: int) -> None:
        schema = file.schema_arrow
        audio = audio_column(schema, shard.audio_column)
        if audio is None:
            raise pa.ArrowInvalid(wrong_audio(schema) or "it has no column of audio any more")
        self._root_url, self._shard, self._file, self._audio = root_url, shard, file, audio
        self._kind, self._max_bytes = schema.field(audio).type, max_clip_bytes
        # Other sounds and images would be read for nothing.
        self._columns = [f.name for f in schema if f.name == audio or not has_bytes(f.type)]
        self._rate = next((name for name in RATE_NAMES if name in schema.names), None) if audio == "array" else None
        others = [name for name in self._columns if name not in (audio, self._rate)]
        self._names = class_names(schema)
        flat = [name for name in others if not pa.types.is_nested(schema.field(name).type)]
        self._times: TimeColumns | None = time_columns(flat) if shard.reading.segments else None
        self._described = bool(set(others) - (self._times.names if self._times else frozenset()))
        self._cell = Cell(root_url, shard.uri)

    def read(self, wanted: _Wanted) -> Iterator[tuple[int, dict[str, Any] | Exception]]:
        stop = 0
        for group in range(self._file.num_row_groups):
            row, stop = stop, stop + self._file.metadata.row_group(group).num_rows
            rows = wanted.among(row, stop)
            if not rows:
                continue
            try:
                # Row group by row group, so that batches begin at the same rows wherever reading starts.
                for batch in self._file.iter_batches(_BATCH_ROWS, row_groups=[group], columns=self._columns):
                    here = range(row, row + batch.num_rows)
                    if rows.intersection(here):
                        for number, cells in zip(here, rows_of(batch), strict=True):
                            if number in rows:
                                yield number, cells
                    row += batch.num_rows
            except (pa.ArrowException, OSError) as error:
                for number in sorted(rows):
                    if number >= row:
                        yield number, error

    def recording(self, row: int, cells: dict[str, Any]) -> RawRecording | ReadFault:
        ordinal, identity = row - self._shard.row_start, clip_id(f"{self._shard.uri}\0{row}")
        cell = cells.pop(self._audio)
        if self._rate is not None and cell is not None:
            cell = {"array": cell, "sampling_rate": cells.pop(self._rate)}
        path = cell if isinstance(cell, str) else cell.get("path") if isinstance(cell, dict) else None
        key = key_of(self._shard, row, path)
        where = f"{printable(self._shard.uri)}, row {row}"

        try:
            span = self._times.span(cells, where) if self._times is not None else None
        except InputError as error:
            return ReadFault(ordinal, identity, key, "bad_segment", str(error), 0)
        segments = (Segment(segment_id(identity, *span), *span),) if span is not None else ()

        def fault(reason: ReadReason, words: str, size: int = 0) -> ReadFault:
            return ReadFault(ordinal, identity, key, reason, f"{where}: {words}", size, segments)

        try:
            data = sound_of(cell, self._kind, self._cell)
        except NoSoundError as error:
            return fault(error.reason, str(error))
        except OSError as error:
            reason, words = os_reason(error)
            return fault(reason, f"{printable(path or '')}: {words}")
        if len(data) > self._max_bytes:
            return fault("too_large", too_large(len(data), self._max_bytes), len(data))
        named = {name: self._names[name](value) if name in self._names else value for name, value in cells.items()}
        metadata = {name: jsonable(short(value)) for name, value in named.items()}
        folder = "" if self._described else posixpath.basename(posixpath.dirname(key))
        return RawRecording(ordinal, identity, key, posixpath.basename(key), data, metadata, segments, folder)


def key_of(shard: Shard, row: int, path: str | None) -> str:
    """Return the key of a row's recording: its path, or the file's name and the row's number."""
    if path:
        path = path.replace("\\", "/")
        # Data sets often keep the absolute path of the machine that made them: only the name is of use.
        absolute = path.startswith("/") or path[1:3] == ":/"
        return printable(posixpath.basename(path) if absolute else path.removeprefix("./"))
    return printable(f"{posixpath.splitext(posixpath.basename(shard.uri))[0]}-{row}")


def _lost(shard: Shard, row: int, error: Exception) -> ReadFault:
    reason, words = os_reason(error) if isinstance(error, OSError) else ("shard_unreadable", str(error))
    shown, known = printable(shard.uri), shard.row_stop > 0
    # If nothing is known about its rows, the file itself is lost.
    key, size = (key_of(shard, row, None), 0) if known else (shown, shard.size_bytes)
    message = (
        f"{shown}, row {row}: {words}; the row is lost" if known else f"{shown}: {words}; all of its rows are lost"
    )
    return ReadFault(row - shard.row_start, clip_id(f"{shard.uri}\0{row}"), key, reason, message, size)
