"""How long a method takes for a window, beside the explainer's own decoder, in one process."""

from __future__ import annotations

import time

import torch

from pipeline.evaluation.contenders import Contender
from pipeline.evaluation.heard import Heard

REPEATS, ENOUGH_S = 5, 3.0


def seconds_per_window(contender: Contender, heard: Heard) -> float:
    """Seconds from the linear magnitudes of a batch to their relevance, per window: the quickest of up to five runs.

    The quickest, as whatever else the machine does can only slow a run down; one window goes first, uncounted.
    """
    _run(contender, heard.first(1))
    taken: list[float] = []
    while len(taken) < REPEATS and (not taken or sum(taken) < ENOUGH_S):
        start = time.perf_counter()
        _run(contender, heard)
        taken.append(time.perf_counter() - start)
    return min(taken) / len(heard.target)


def _run(contender: Contender, heard: Heard) -> None:
    contender.relevance(heard)
    if heard.magnitude.is_cuda:
        torch.cuda.synchronize()
