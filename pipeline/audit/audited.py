"""A run as the questions of an audit see it: its windows in one order, with what is large read when it is asked for."""

from __future__ import annotations

from functools import cached_property

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.runs.run import Run

# Read by themselves: of a million windows they take gigabytes.
_LARGE = ("probabilities", "embedding")


class AuditedRun:
    """The windows of a run, sorted by `window_id`; arrays and columns are in that order."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.classes = run.classes
        self.connection: duckdb.DuckDBPyConnection = run.connect()

    @cached_property
    def windows(self) -> pa.Table:
        """The table `predictions` without `probabilities` and `embedding`."""
        names = ", ".join(f'"{name}"' for name in self.run.table("predictions").schema.names if name not in _LARGE)
        return self.connection.sql(f"SELECT {names} FROM predictions ORDER BY window_id").to_arrow_table()

    @cached_property
    def window_ids(self) -> list[str]:
        """The windows' ids, ascending."""
        return [str(one) for one in self.windows["window_id"].to_pylist()]

    @cached_property
    def clip_ids(self) -> list[str]:
        """The id of each window's recording."""
        return [str(one) for one in self.windows["clip_id"].to_pylist()]

    @cached_property
    def labels(self) -> list[list[str]]:
        """The labels that came with each window's recording; an empty list where it has none."""
        return [list(one) for one in self.windows["label_true"].to_pylist()]

    @cached_property
    def probabilities(self) -> NDArray[np.float32]:
        """The probabilities of all classes, `[W, C]` float32."""
        return self._matrix("predictions", "probabilities")

    @cached_property
    def embeddings(self) -> NDArray[np.float32]:
        """The classifier's embeddings, `[W, D]` float32."""
        return self._matrix("predictions", "embedding")

    def _matrix(self, table: str, column: str) -> NDArray[np.float32]:
        found = self.connection.sql(f"SELECT {column} FROM {table} ORDER BY window_id").to_arrow_table()[column]
        return rows_of(found)


def rows_of(column: pa.ChunkedArray) -> NDArray[np.float32]:
    """A column of lists that are all of one length as an array `[rows, n]` float32."""
    if not len(column):
        return np.zeros((0, 0), np.float32)
    parts = [
        chunk.flatten().to_numpy(zero_copy_only=False).reshape(len(chunk), -1) for chunk in column.chunks if len(chunk)
    ]
    return np.concatenate(parts).astype(np.float32, copy=False)
