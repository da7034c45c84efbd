"""Time how long methods take per window, compared with the explainer's own decoder, in one process."""

from __future__ import annotations

import time

import pyarrow as pa
import torch

from pipeline.evaluation.batch import WindowBatch
from pipeline.evaluation.contaminate import CLEAN
from pipeline.evaluation.methods import ComparedMethod
from pipeline.evaluation.prepare import Evaluation, Progress
from pipeline.evaluation.results_cache import ResultsCache
from schemas.evaluation_tables import TIMING

REPEATS, ENOUGH_S = 5, 3.0


def timing_tables(evaluation: Evaluation, cache: ResultsCache, progress: Progress) -> list[pa.Table]:
    """Measure the seconds per window of every method that can be built, and their ratio to the explainer's own."""
    first, size = evaluation.methods[0], min(evaluation.config.batch_size, len(evaluation.windows))
    depends_on = {"own": first.digest, "batch": size, "device": str(evaluation.explainer.device)}
    depends_on["threads"] = torch.get_num_threads()
    tables = []
    for method in evaluation.methods:
        if method.build is None:
            continue
        path = cache.path("timing", CLEAN, method.name, {**depends_on, "method": method.digest})
        if not path.exists():
            progress.begin(f"timing: {method.name}", 1)
            batch = next(evaluation.batches(evaluation.audio[0], torch.arange(size)))
            # The decoder is timed again with every method: a ratio across processes, or hours, would mean little.
            own = seconds_per_window(first, batch)
            seconds = own if method is first else seconds_per_window(method, batch)
            row = {"method": method.name, "seconds": seconds, "ratio": seconds / own, "windows": size}
            cache.write(path, pa.Table.from_pylist([row], TIMING))
            progress.step(1)
        tables.append(cache.read(path))
    return tables


def seconds_per_window(method: ComparedMethod, batch: WindowBatch) -> float:
    """Measure seconds per window from the linear magnitudes of a batch to their relevance: the best of up to five runs.

    The minimum is used, as other load on the machine can only slow a run down; one uncounted window is run first.
    """
    _run(method, batch.first(1))
    taken: list[float] = []
    while len(taken) < REPEATS and (not taken or sum(taken) < ENOUGH_S):
        start = time.perf_counter()
        _run(method, batch)
        taken.append(time.perf_counter() - start)
    return min(taken) / len(batch.target)


def _run(method: ComparedMethod, batch: WindowBatch) -> None:
    method.relevance(batch)
    if batch.magnitude.is_cuda:
        torch.cuda.synchronize()
