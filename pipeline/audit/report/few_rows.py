"""The rows of a few windows out of a table with large cells, without reading the rest of it."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import accumulate
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.runs.run import Run
from pipeline.storage.errors import storage_errors
from pipeline.storage.filesystem import display_url, is_local, join, open_filesystem
from pipeline.storage.retry import BUDGET_S
from pipeline.storage.retrying_file import RetryingFile
from schemas.records import TableName

_BLOCK_BYTES, _THREADS = 64 << 10, 8
# A few masks or sounds at a time: each has hundreds of kilobytes.
_BATCH_ROWS, _SMALL_ROWS = 16, 1024

Place = tuple[int, int]  # file, row group


class WindowRows:
    """Finds rows of the windows `window_ids` in a table of a run, by an index of the row groups that hold them.

    The index is built on first use, from the ids of the table and the columns `keys`. An outage of the storage is
    waited out for up to `budget_s` seconds; reading raises StorageError if it lasts longer.
    """

    def __init__(
        self,
        run: Run,
        table: TableName,
        window_ids: Collection[str],
        keys: Sequence[str] = (),
        budget_s: float = BUDGET_S,
    ) -> None:
        self._fs, root = open_filesystem(run.url)
        self._paths = [join(root, file.path) for file in run.output.files(table)]
        self._wanted = pa.array(list(window_ids), pa.string())
        self._columns = ["window_id", *keys]
        self._budget_s = budget_s
        self._lock = threading.Lock()
        self._found: tuple[dict[str, list[Place]], dict[str, set[tuple[str, ...]]]] | None = None

    def find(self) -> None:
        """Make the index now."""
        self._index()

    def keys(self, window_id: str) -> set[tuple[str, ...]]:
        """The values of the columns `keys` in a window's rows; empty where it has none."""
        return self._index()[1].get(window_id, set())

    def rows(self, window_ids: Collection[str], columns: Sequence[str]) -> Iterator[dict[str, Any]]:
        """Yield the rows of these windows, a few at a time, file by file."""
        for number, groups in self._groups(window_ids).items():
            for batch in self._read(number, groups, window_ids, columns, _BATCH_ROWS):
                yield from batch.to_pylist()

    def table(self, window_ids: Collection[str], schema: pa.Schema) -> pa.Table:
        """The rows of these windows at once, with small columns only, read from several files at a time."""

        def read(place: tuple[int, list[int]]) -> list[pa.RecordBatch]:
            return [one.cast(schema) for one in self._read(*place, window_ids, schema.names, _SMALL_ROWS)]

        with ThreadPoolExecutor(_THREADS) as pool:
            found = pool.map(read, self._groups(window_ids).items())
            return pa.Table.from_batches((batch for batches in found for batch in batches), schema)

    def _groups(self, window_ids: Collection[str]) -> dict[int, list[int]]:
        """The row groups that hold these windows, by file."""
        places, _ = self._index()
        found = {place for one in window_ids for place in places.get(one, ())}
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

    def _index(self) -> tuple[dict[str, list[Place]], dict[str, set[tuple[str, ...]]]]:
        with self._lock:
            if self._found is None:
                places: dict[str, list[Place]] = defaultdict(list)
                keys: dict[str, set[tuple[str, ...]]] = defaultdict(set)
                with ThreadPoolExecutor(_THREADS) as pool:
                    for number, (table, groups) in enumerate(pool.map(self._ids, range(len(self._paths)))):
                        for row, group in zip(table.to_pylist(), groups, strict=True):
                            window_id, *key = row.values()
                            keys[window_id].add(tuple(key))
                            if (number, group) not in places[window_id]:
                                places[window_id].append((number, group))
                self._found = places, keys
            return self._found

    def _ids(self, number: int) -> tuple[pa.Table, list[int]]:
        """The ids and keys of the wanted windows in a file, and the row group of each row."""
        with storage_errors(self._what(number)), self._opened(number) as file:
            table = file.read(self._columns, use_threads=False)
            sizes = [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)]
        here = np.flatnonzero(pc.is_in(table["window_id"], self._wanted).to_numpy())
        return table.take(here), np.searchsorted(list(accumulate(sizes)), here, side="right").tolist()

    def _opened(self, number: int) -> pq.ParquetFile:
        path = self._paths[number]
        if is_local(self._fs):
            return pq.ParquetFile(path)
        source = RetryingFile(self._fs, path, self._what(number), block_bytes=_BLOCK_BYTES, budget_s=self._budget_s)
        # Nearby columns in one request.
        return pq.ParquetFile(source, pre_buffer=True)

    def _what(self, number: int) -> str:
        return f"reading {display_url(self._paths[number])}"
