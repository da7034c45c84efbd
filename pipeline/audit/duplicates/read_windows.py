"""Sound of a run's windows: from the input where it is given and has them, else from both sides of its listenables."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.runs.listenable import Listenable
from pipeline.runs.original import SidesSum, read_originals, sides_add_up
from pipeline.runs.run import Run

_BATCH_ROWS = 64


def read_windows(
    run: Run, window_ids: Collection[str], input_url: str | None
) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """Yield the id of each window and its samples `[n]` at the explainer's rate, once and in any order.

    Windows that the input does not have are the sum of both sides; where not both were drawn they are left out. A run
    whose segments came from a table is read from its listenables, as the input does not know them. Raises what reading
    the input raises.
    """
    left = set(window_ids)
    if input_url is not None and not run.record.config.get("label_segments"):
        for window_id, samples in read_originals(run, window_ids, input_url):
            left.discard(window_id)
            yield window_id, samples
    if left and sides_add_up(run):
        yield from _sums_of_sides(run, left)


def _sums_of_sides(run: Run, window_ids: Collection[str]) -> Iterator[tuple[str, NDArray[np.float32]]]:
    sides = SidesSum()
    done: set[str] = set()
    for batch in run.table("listenables").to_batches(
        filter=pc.field("window_id").isin(list(window_ids)),
        batch_size=_BATCH_ROWS,
        batch_readahead=1,
        fragment_readahead=1,
    ):
        for row in batch.to_pylist():
            window_id = row["window_id"]
            # The sides of any target sum to the same original.
            if window_id in done:
                continue
            original = sides.add(Listenable(row.pop("audio")["bytes"], row))
            if original is not None:
                done.add(window_id)
                yield window_id, original
