"""The rows of a few windows out of a table with large cells, without reading the rest of it."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from functools import reduce
from operator import or_
from typing import Any

import pyarrow.compute as pc

from pipeline.runs.run import Run
from schemas.records import TableName

_BATCH_ROWS = 16


def windows_in(run: Run, table: TableName, window_ids: Collection[str]) -> set[str]:
    """Which of these windows have rows in a table."""
    wanted = pc.field("window_id").isin(list(window_ids))
    found = run.table(table).to_table(columns=["window_id"], filter=wanted)["window_id"]
    return set(pc.unique(found).to_pylist())


def rows_of_windows(run: Run, table: TableName, window_ids: Collection[str]) -> Iterator[dict[str, Any]]:
    """Yield the rows of a table that are of these windows, a file after the other.

    The column of ids is read first, then of each file the row groups alone whose bounds hold a window that is wanted.
    """
    if not window_ids:
        return
    wanted = pc.field("window_id").isin(list(window_ids))
    for fragment in run.table(table).get_fragments():
        here = pc.unique(fragment.to_table(columns=["window_id"], filter=wanted)["window_id"]).to_pylist()
        if here:
            # One equation each: bounds of a row group decide these, and not a membership.
            these = reduce(or_, (pc.field("window_id") == one for one in sorted(here)))
            for batch in fragment.to_batches(filter=these, batch_size=_BATCH_ROWS, batch_readahead=1):
                yield from batch.to_pylist()
