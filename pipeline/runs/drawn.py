"""Listenables drawn per target: the candidates of all parts, and which of them are drawn."""

from __future__ import annotations

import heapq
import io
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.runs.output import RunOutput
from pipeline.storage.errors import StorageError
from schemas.draws import rank_of
from schemas.records import CommitRecord, FileRecord
from schemas.tables import LISTENABLES

_FILE_ROWS, _GROUP_ROWS, _THREADS = 512, 32, 8
_DRAWN = "listenables/drawn-"


class DrawnListenables:
    """Keeps for each target the `per_target` windows with the lowest ranks, among those that parts name."""

    def __init__(self, per_target: int) -> None:
        self._per_target = per_target
        # For each target, a heap with the highest rank on top: (-rank, window_id, file of the candidates).
        self._lowest: dict[str, list[tuple[int, str, str]]] = defaultdict(list)

    def add(self, commit: CommitRecord) -> None:
        """Add a part's candidates."""
        for target, window_ids in commit.drawn.items():
            for window_id in window_ids:
                assert commit.candidates is not None
                item = (-rank_of(window_id), window_id, commit.candidates.path)
                if len(self._lowest[target]) < self._per_target:
                    heapq.heappush(self._lowest[target], item)
                else:
                    heapq.heappushpop(self._lowest[target], item)

    def write(self, output: RunOutput) -> list[FileRecord]:
        """Write the drawn rows as files of the table `listenables`, a few hundred rows each; return their records.

        Every run has the same rows in the same order. Raises StorageError when candidates are gone.
        """
        by_file: dict[str, set[tuple[str, str]]] = defaultdict(set)
        for target, heap in self._lowest.items():
            for _, window_id, path in heap:
                by_file[path].add((window_id, target))
        records: list[FileRecord] = []
        batch: list[pa.Table] = []
        for rows in _rows(output, by_file):
            batch.append(rows)
            if sum(table.num_rows for table in batch) >= _FILE_ROWS:
                records.append(_write(output, len(records), batch))
                batch = []
        if batch:
            records.append(_write(output, len(records), batch))
        return records


def _rows(output: RunOutput, by_file: dict[str, set[tuple[str, str]]]) -> Iterator[pa.Table]:
    there = {file.path for file in output.content_files()}
    # A finished run keeps no candidates: if its manifest is rewritten, the rows drawn before are still there.
    drawn_before = [path for path in sorted(there) if path.startswith(_DRAWN)]
    paths = sorted(by_file)

    def read(path: str) -> pa.Table:
        sources = [path] if path in there else drawn_before
        found = pa.concat_tables([_chosen(output.read_bytes(source), by_file[path]) for source in sources] or [_NONE])
        if found.num_rows < len(by_file[path]):
            raise StorageError(f"{path}: the listenables that were drawn from it are gone: explain into another output")
        return found

    for first in range(0, len(paths), _THREADS):
        with ThreadPoolExecutor(_THREADS) as pool:
            yield from pool.map(read, paths[first : first + _THREADS])


_NONE = LISTENABLES.empty_table()


def _chosen(data: bytes, keys: set[tuple[str, str]]) -> pa.Table:
    table = pq.read_table(io.BytesIO(data), filters=pc.field("window_id").isin([window_id for window_id, _ in keys]))
    pairs = zip(table["window_id"].to_pylist(), table["target"].to_pylist(), strict=True)
    return table.filter(pa.array([pair in keys for pair in pairs], pa.bool_()))


def _write(output: RunOutput, number: int, tables: list[pa.Table]) -> FileRecord:
    rows = pa.concat_tables(tables).cast(LISTENABLES)
    return output.write_table("listenables", f"drawn-{number:06d}", rows, _GROUP_ROWS)
