"""Find the rows of given windows in a table with large cells, without reading the rest of it."""

from __future__ import annotations

import threading
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import accumulate
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.storage.errors import storage_errors
from pipeline.storage.filesystem import display_url, is_local, join, open_filesystem
from pipeline.storage.retry import BUDGET_S
from pipeline.storage.retrying_file import RetryingFile
from schemas.records import FileRecord

_BLOCK_BYTES, _THREADS = 64 << 10, 8
# A few masks or sounds at a time: each has hundreds of kilobytes.
_BATCH_ROWS, _SMALL_ROWS = 16, 1024

RowGroup = tuple[int, int]  # file, and row group in it


class WindowRows:
    """Finds rows of windows in a table of a run, given as its `files` at `url`, by an index of their row groups.

    The index covers the windows `window_ids`, or all if None. It is built on first use, from the ids of the table and
    the columns `keys`, and takes about 60 bytes a window. An outage of the storage is waited out for up to `budget_s`
    seconds; reading raises StorageError if it lasts longer.
    """

    def __init__(
        self,
        url: str,
        files: Sequence[FileRecord],
        window_ids: Collection[str] | None = None,
        keys: Sequence[str] = (),
        budget_s: float = BUDGET_S,
    ) -> None:
        self._fs, root = open_filesystem(url)
        self._paths = [join(root, file.path) for file in files]
        self._wanted = None if window_ids is None else pa.array(list(window_ids), pa.string())
        self._keys = list(keys)
        self._budget_s = budget_s
        self._lock = threading.Lock()
        self._found: pa.Table | None = None

    def find(self) -> None:
        """Make the index now."""
        self._index()

    def keys(self, window_id: str) -> set[tuple[str, ...]]:
        """The values of the columns `keys` in a window's rows; empty where it has none."""
        return {tuple(row.values()) for row in self._of(window_id).select(self._keys).to_pylist()}

    def rows(self, window_ids: Collection[str], columns: Sequence[str]) -> Iterator[dict[str, Any]]:
        """Yield the rows of these windows, a few at a time, file by file; `window_id` is to be among the columns."""
        for number, groups in self._groups(window_ids).items():
            for batch in self._read(number, groups, window_ids, columns, _BATCH_ROWS):
                yield from batch.to_pylist()

    def table(self, window_ids: Collection[str], schema: pa.Schema) -> pa.Table:
        """The rows of these windows at once, with small columns only, read from several files at a time."""

        def read(of_file: tuple[int, list[int]]) -> list[pa.RecordBatch]:
            return [one.cast(schema) for one in self._read(*of_file, window_ids, schema.names, _SMALL_ROWS)]

        with ThreadPoolExecutor(_THREADS) as pool:
            found = pool.map(read, self._groups(window_ids).items())
            return pa.Table.from_batches((batch for batches in found for batch in batches), schema)

    def _groups(self, window_ids: Collection[str]) -> dict[int, list[int]]:
        """The row groups that hold these windows, by file."""
        found: set[RowGroup] = set()
        for one in window_ids:
            held = self._of(one)
            found.update(zip(held["file"].to_pylist(), held["group"].to_pylist(), strict=True))
        groups: dict[int, list[int]] = defaultdict(list)
        for file, group in sorted(found):
            groups[file].append(group)
        return groups

    def _read(
        self, number: int, groups: list[int], window_ids: Collection[str], columns: Sequence[str], at_once: int
    ) -> Iterator[pa.RecordBatch]:
        wanted = pa.array(list(window_ids), pa.string())
        with storage_errors(self._what(number)), self._opened(number) as file:
            for batch in file.iter_batches(at_once, groups, columns, use_threads=False):
                chosen = batch.filter(pc.is_in(batch.column("window_id"), wanted))
                if chosen.num_rows:
                    yield chosen

    def _of(self, window_id: str) -> pa.Table:
        """The index's rows of a window."""
        index = self._index()
        ids = index["window_id"]
        start, stop = (find(ids, window_id, key=lambda one: one.as_py()) for find in (bisect_left, bisect_right))
        return index.slice(start, stop - start)

    def _index(self) -> pa.Table:
        """The file, the row group and the keys of each window, sorted by `window_id`: a dict would take gigabytes."""
        with self._lock:
            if self._found is None:
                with ThreadPoolExecutor(_THREADS) as pool:
                    found = pa.concat_tables(pool.map(self._ids, range(len(self._paths))))
                self._found = found.sort_by("window_id").combine_chunks()
            return self._found

    def _ids(self, number: int) -> pa.Table:
        """The index's rows of one file."""
        with storage_errors(self._what(number)), self._opened(number) as file:
            table = file.read(["window_id", *self._keys], use_threads=False)
            sizes = [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)]
        here = np.arange(len(table))
        if self._wanted is not None:
            here = np.flatnonzero(pc.is_in(table["window_id"], self._wanted).to_numpy())
        group = np.searchsorted(list(accumulate(sizes)), here, side="right").astype(np.int32)
        # Ids of 60 million windows exceed what one array of `string` can hold.
        ids = table["window_id"].take(here).cast(pa.large_string())
        columns = {name: table[name].take(here) for name in self._keys}
        columns |= {"window_id": ids, "file": pa.array(np.full(len(here), number, np.int32)), "group": pa.array(group)}
        # One row for all targets of a window that lie together.
        return pa.table(columns).group_by([*columns]).aggregate([])

    def _opened(self, number: int) -> pq.ParquetFile:
        path = self._paths[number]
        if is_local(self._fs):
            return pq.ParquetFile(path)
        source = RetryingFile(self._fs, path, self._what(number), block_bytes=_BLOCK_BYTES, budget_s=self._budget_s)
        # Nearby columns in one request.
        return pq.ParquetFile(source, pre_buffer=True)

    def _what(self, number: int) -> str:
        return f"reading {display_url(self._paths[number])}"
