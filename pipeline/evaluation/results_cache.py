"""Cached results of one method on one audio, as Parquet, so that nothing is measured twice."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from torch import Tensor

Columns = dict[str, Any]

# Increase this whenever the same settings give other results than before.
RESULTS_VERSION = 4


class ResultsCache:
    """A folder of results, each named by its kind, audio, method, and a digest of everything that it depends on."""

    def __init__(self, folder: Path, depends_on: Mapping[str, Any]) -> None:
        self.folder, self.depends_on = folder, dict(depends_on)

    def path(self, kind: str, audio: str, method: str, depends_on: Mapping[str, Any]) -> Path:
        """Return the path of a result, which exists once the result is complete."""
        of = {"of": [kind, audio, method], "version": RESULTS_VERSION}
        everything = json.dumps({**self.depends_on, **depends_on, **of}, sort_keys=True)
        digest = hashlib.sha256(everything.encode()).hexdigest()[:16]
        name = re.sub(r"[^A-Za-z0-9_.]+", "-", f"{kind}-{audio}-{method}")
        return self.folder / f"{name}-{digest}.parquet"

    def write(self, path: Path, table: pa.Table) -> None:
        """Write a result atomically."""
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial")
        pq.write_table(table, partial, compression="zstd")
        os.replace(partial, path)

    def read(self, path: Path) -> pa.Table:
        """Read an existing result."""
        return pq.read_table(path)


def table_of(schema: pa.Schema, batches: Iterable[Columns]) -> pa.Table:
    """Make a table from batches of columns; a scalar value applies to every row of its batch."""
    tables = [_batch(schema, columns) for columns in batches]
    return pa.concat_tables(tables) if tables else schema.empty_table()


def _batch(schema: pa.Schema, columns: Columns) -> pa.Table:
    rows = next(len(value) for value in columns.values() if _is_column(value))
    filled = {}
    for field in schema:
        value = columns[field.name]
        if isinstance(value, Tensor):
            value = value.detach().cpu().numpy()
        cells: Sequence[Any] | np.ndarray = value if _is_column(value) else [value] * rows
        # NaN in a nullable column becomes null.
        filled[field.name] = pa.array(cells, type=field.type, from_pandas=field.nullable)
    return pa.table(filled, schema=schema)


def _is_column(value: Any) -> bool:
    return isinstance(value, (list, np.ndarray, Tensor))
