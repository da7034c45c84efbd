"""The rows of a few windows out of a table with large cells, without reading the rest of it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from functools import reduce
from operator import or_
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.runs.run import Run
from schemas.records import TableName

_BATCH_ROWS = 16
# With more windows than this in a file, most of its row groups are read in any case.
_FEW = 32


def windows_in(run: Run, table: TableName, window_ids: Collection[str]) -> set[str]:
    """Which of these windows have rows in a table."""
    found = run.table(table).to_table(columns=["window_id"], filter=_among(window_ids))["window_id"]
    return set(pc.unique(found).to_pylist())


def rows_of_windows(run: Run, table: TableName, window_ids: Collection[str]) -> Iterator[dict[str, Any]]:
    """Yield the rows of a table that are of these windows, a few at a time, a file after the other."""
    for batch in batches_of_windows(run, table, window_ids):
        yield from batch.to_pylist()


def batches_of_windows(
    run: Run, table: TableName, window_ids: Collection[str], columns: Sequence[str] | None = None
) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a table that are of these windows, with all `columns` or those named.

    The ids of a file are read first, then, where windows that are wanted are in it, the row groups alone whose bounds
    hold one.
    """
    if not window_ids:
        return
    wanted = _among(window_ids)
    for fragment in run.table(table).get_fragments():
        here = pc.unique(fragment.to_table(columns=["window_id"], filter=wanted)["window_id"]).to_pylist()
        if here:
            # One equation each: bounds of a row group decide these, and not a membership.
            these = reduce(or_, (pc.field("window_id") == one for one in sorted(here))) if len(here) <= _FEW else wanted
            yield from fragment.to_batches(columns=columns, filter=these, batch_size=_BATCH_ROWS, batch_readahead=1)


def _among(window_ids: Collection[str]) -> pc.Expression:
    return pc.field("window_id").isin(pa.array(list(window_ids), pa.string()))
