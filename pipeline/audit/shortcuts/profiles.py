"""Where the masks of a class lie that those of others do not: a narrow band, the first or the last moment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.stats import mannwhitneyu

from pipeline.audit.audited import AuditedRun, rows_of
from pipeline.audit.findings import Effect
from pipeline.audit.shortcuts.cues.background import Background
from pipeline.audit.shortcuts.cues.cue import Cue
from pipeline.audit.shortcuts.cues.moments import Edge
from pipeline.audit.shortcuts.sample import MIN_SUBJECT
from schemas.tables import TIME_SPANS

# A place is told from those beside it: bands, and spans of time.
_BESIDE = 4
_MIN_AUC = 0.7


@dataclass(frozen=True)
class Place:
    """Where the masks of a target stand out, beside those of other targets: the cue that may be there, the effect and
    its p, corrected for all places of all targets."""

    target: str
    cue: Cue
    effect: Effect
    p: float
    n: int
    evidence: dict[str, Any]


def places(audited: AuditedRun, targets: Sequence[str], window_s: float) -> list[Place]:
    """The places where the masks of each target stand out of what is beside them, the clearest first."""
    table = audited.connection.sql(
        "SELECT target, clip_id, band_profile, time_profile FROM masks ORDER BY window_id, target"
    ).to_arrow_table()
    if not len(table):
        return []
    names = np.array(table["target"].to_pylist())
    clips = np.unique(np.array(table["clip_id"].to_pylist()), return_inverse=True)[1]
    bands, spans = rows_of(table["band_profile"]), rows_of(table["time_profile"])
    values = np.concatenate([_contrast(bands), spans[:, :1] - _next(spans), spans[:, -1:] - _next(spans[:, ::-1])], 1)
    # A recording counts once for each target.
    keys, number = np.unique(np.stack([np.unique(names, return_inverse=True)[1], clips]), axis=1, return_inverse=True)
    number = number.reshape(-1)
    counts = np.bincount(number)
    means = np.stack([np.bincount(number, column) / counts for column in values.T], axis=1)
    of = np.unique(names)[keys[0]]
    edges = audited.run.band_edges_hz
    found = []
    for target in targets:
        mine = of == target
        if mine.sum() < MIN_SUBJECT or (~mine).sum() < MIN_SUBJECT:
            continue
        test = mannwhitneyu(means[mine], means[~mine], alternative="greater", axis=0)
        auc = test.statistic / (mine.sum() * (~mine).sum())
        best = int(np.argmin(np.where(auc >= _MIN_AUC, test.pvalue, 1.0)))
        p = min(1.0, float(test.pvalue[best]) * values.shape[1] * len(targets))
        if auc[best] >= _MIN_AUC and p < 0.01:
            found.append(_place(target, best, float(auc[best]), p, means, mine, edges, window_s))
    return sorted(found, key=lambda one: one.p)


def _contrast(profiles: NDArray[np.float32]) -> NDArray[np.float32]:
    """How far each band `[W, bands]` stands out of the bands some way below and above it."""
    padded = np.pad(profiles, ((0, 0), (_BESIDE, _BESIDE)), mode="edge")
    n = profiles.shape[1]
    beside = np.maximum(padded[:, :n], padded[:, 2 * _BESIDE : 2 * _BESIDE + n])
    return profiles - beside


def _next(spans: NDArray[np.float32]) -> NDArray[np.float32]:
    return spans[:, 2 : 2 + _BESIDE].mean(axis=1, keepdims=True)


def _place(
    target: str,
    best: int,
    auc: float,
    p: float,
    means: NDArray[np.float64],
    mine: NDArray[np.bool_],
    edges: list[float],
    window_s: float,
) -> Place:
    bands = len(edges) - 1
    cue: Cue
    if best < bands:
        cue = Background(round(edges[best], 1), round(edges[best + 1], 1))
    else:
        cue = Edge(round(window_s / TIME_SPANS, 3), "start" if best == bands else "end")
    low, high = _interval(auc, int(mine.sum()), int((~mine).sum()))
    words = "probability that a recording of it stands out there more than one of another class"
    evidence = {
        **cue.evidence(),
        "stands_out_by": round(float(means[mine, best].mean()), 4),
        "others_by": round(float(means[~mine, best].mean()), 4),
    }
    return Place(target, cue, Effect(auc, words, low, high), p, int(mine.sum()), evidence)


def _interval(auc: float, n: int, m: int) -> tuple[float, float]:
    """The 95% interval of an area under the ROC curve, which one of 1 has as well (Newcombe 2006, method 5).

    It holds the areas whose own standard error (Hanley and McNeil 1982) lets them be this far from `auc`.
    """
    mean = (n + m) / 2 - 1

    def beyond(area: float) -> float:
        variance = area * (1 - area) / (n * m) * (1 + mean * ((1 - area) / (2 - area) + area / (1 + area)))
        return abs(area - auc) - 1.96 * float(np.sqrt(variance))

    # An area of 0 or 1 lies no further from itself than its error, which is 0.
    inside = min(max(auc, 1e-9), 1 - 1e-9)
    low = float(brentq(beyond, 0.0, inside)) if auc > 0 else 0.0
    high = float(brentq(beyond, inside, 1.0)) if auc < 1 else 1.0
    return low, high
