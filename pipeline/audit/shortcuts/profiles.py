"""Where the masks of a class or a group lie and those of others do not: a narrow band, the first or last moment."""

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
from pipeline.audit.shortcuts.sample import MIN_SUBJECT, Subject
from schemas.tables import TIME_SPANS

# A place is compared with those beside it: bands, and spans of time.
_BESIDE = 4
_MIN_AUC = 0.7


# A class counts for a group if this many of its recordings are in the group, and as many are not.
_ON_BOTH_SIDES = 3


@dataclass(frozen=True)
class MaskEvidence:
    """Where the masks of a subject stand out compared with others: the cue that may be there, the effect and its p,
    corrected for all places of all subjects."""

    subject: Subject
    cue: Cue
    effect: Effect
    p: float
    n: int
    evidence: dict[str, Any]


@dataclass(frozen=True)
class _Masks:
    """How far masks stand out in each place, `[N, places]`, averaged over a recording's windows; `targets` `[N]`
    and `clip_ids` `[N]` are those of the masks."""

    values: NDArray[np.float64]
    targets: NDArray[np.str_]
    clip_ids: NDArray[np.str_]

    def of_class(self, mine: NDArray[np.bool_]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The masks of a target, and those of all others."""
        return self.values[mine], self.values[~mine]

    def of_group(self, mine: NDArray[np.bool_]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The masks of a group and those of all others, each less the median of its target among the others.

        A target whose masks are nearly all or nearly none in the group is left out: it is what the group is made of.
        """
        inside, outside = [np.zeros((0, self.values.shape[1]))], [np.zeros((0, self.values.shape[1]))]
        for target in np.unique(self.targets):
            ours, theirs = (self.values[(self.targets == target) & side] for side in (mine, ~mine))
            if min(len(ours), len(theirs)) >= _ON_BOTH_SIDES:
                usual = np.median(theirs, axis=0)
                inside.append(ours - usual)
                outside.append(theirs - usual)
        return np.concatenate(inside), np.concatenate(outside)


def mask_evidence(audited: AuditedRun, subjects: Sequence[Subject], window_s: float) -> list[MaskEvidence]:
    """The places where the masks of each subject stand out from their surroundings, the clearest first.

    The masks of a class are compared with those of other targets, the masks of a group with those of other recordings
    for the same target.
    """
    masks = _masks(audited)
    if masks is None:
        return []
    edges, clip_ids = audited.run.band_edges_hz, np.array(audited.clip_ids)
    found = []
    for subject in subjects:
        of_class = subject.what == "class"
        chosen = masks.targets == subject.name if of_class else np.isin(masks.clip_ids, clip_ids[subject.rows])
        mine, others = masks.of_class(chosen) if of_class else masks.of_group(chosen)
        if min(len(mine), len(others)) < MIN_SUBJECT:
            continue
        test = mannwhitneyu(mine, others, alternative="greater", axis=0)
        auc = test.statistic / (len(mine) * len(others))
        # Beside a place where others stand out by much, any mask that is low there would seem to stand out.
        auc[masks.values[chosen].mean(axis=0) <= 0] = 0
        best = int(np.argmin(np.where(auc >= _MIN_AUC, test.pvalue, 1.0)))
        p = min(1.0, float(test.pvalue[best]) * masks.values.shape[1] * len(subjects))
        if auc[best] >= _MIN_AUC and p < 0.01:
            found.append(_evidence(subject, best, float(auc[best]), p, mine, others, edges, window_s))
    return sorted(found, key=lambda one: one.p)


def _masks(audited: AuditedRun) -> _Masks | None:
    table = audited.connection.sql(
        "SELECT target, clip_id, band_profile, time_profile FROM masks ORDER BY window_id, target"
    ).to_arrow_table()
    if not len(table):
        return None
    names, target = np.unique(np.array(table["target"].to_pylist()), return_inverse=True)
    clip_ids, clip = np.unique(np.array(table["clip_id"].to_pylist()), return_inverse=True)
    bands, spans = rows_of(table["band_profile"]), rows_of(table["time_profile"])
    values = np.concatenate([_contrast(bands), spans[:, :1] - _next(spans), spans[:, -1:] - _next(spans[:, ::-1])], 1)
    # A recording counts once for each target.
    keys, number = np.unique(np.stack([target, clip]), axis=1, return_inverse=True)
    number = number.reshape(-1)
    counts = np.bincount(number)
    means = np.stack([np.bincount(number, column) / counts for column in values.T], axis=1)
    return _Masks(means, names[keys[0]], clip_ids[keys[1]])


def _contrast(profiles: NDArray[np.float32]) -> NDArray[np.float32]:
    """How far each band `[W, bands]` stands out of the bands some way below and above it."""
    padded = np.pad(profiles, ((0, 0), (_BESIDE, _BESIDE)), mode="edge")
    n = profiles.shape[1]
    beside = np.maximum(padded[:, :n], padded[:, 2 * _BESIDE : 2 * _BESIDE + n])
    return profiles - beside


def _next(spans: NDArray[np.float32]) -> NDArray[np.float32]:
    return spans[:, 2 : 2 + _BESIDE].mean(axis=1, keepdims=True)


def _evidence(
    subject: Subject,
    best: int,
    auc: float,
    p: float,
    mine: NDArray[np.float64],
    others: NDArray[np.float64],
    edges: list[float],
    window_s: float,
) -> MaskEvidence:
    bands = len(edges) - 1
    cue: Cue
    if best < bands:
        cue = Background(round(edges[best], 1), round(edges[best + 1], 1))
    else:
        cue = Edge(round(window_s / TIME_SPANS, 3), "start" if best == bands else "end")
    low, high = _interval(auc, len(mine), len(others))
    other = "of another class" if subject.what == "class" else "of the same class that is not of it"
    words = f"probability that a recording of it stands out there more than one {other}"
    evidence = {
        **cue.evidence(),
        "stands_out_by": round(float(mine[:, best].mean()), 4),
        "others_by": round(float(others[:, best].mean()), 4),
    }
    return MaskEvidence(subject, cue, Effect(auc, words, low, high), p, len(mine), evidence)


def _interval(auc: float, n: int, m: int) -> tuple[float, float]:
    """The 95% interval of an area under the ROC curve, also of an area of 1 (Newcombe 2006, method 5).

    It holds the areas within 1.96 of their own standard errors (Hanley and McNeil 1982) of `auc`.
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
