"""Recordings that are far from all others by the classifier's embeddings."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.audit.audited import AuditedRun
from pipeline.audit.duplicates.neighbours import nearest, unit_vectors
from pipeline.audit.findings import Effect, Finding
from pipeline.audit.weight import STAKES, weigh
from schemas.audit_config import AuditConfig

NEIGHBOURS = 10
# Robust standard deviations of the log distance, which is close to normal.
_FAR = 4.0


def odd_one_out(about: AuditedRun, config: AuditConfig) -> list[Finding]:
    """Make one finding: the recordings whose ten nearest neighbours by the embeddings are far away.

    The distance is 1 - cosine of the mean embeddings, less their common mean; `score` is how many robust standard
    deviations a recording's mean log distance to its neighbours lies above the median of all recordings.
    """
    n = len(about.recordings)
    if n <= 2 * NEIGHBOURS:
        about.note(
            "odd_one_out",
            f"{n} recording{'s are' if n != 1 else ' is'} too few to tell what is far: "
            f"more than {2 * NEIGHBOURS} are needed",
        )
        about.judged["odd_one_out"] = 0
        return []
    vectors = unit_vectors(about.mean_by_recording(about.embeddings))
    _, similarity = nearest(vectors, np.arange(n), NEIGHBOURS)
    distances = np.log(np.maximum(1 - similarity.astype(np.float64), 1e-6)).mean(axis=1)
    z = robust_z(distances)
    right = np.array([clip_id in about.found_right for clip_id in about.recordings])
    far = np.flatnonzero((z > _FAR) & ~right)
    if not len(far):
        return []
    far = far[np.argsort(-z[far], kind="stable")]
    members = [about.member(recording, float(z[recording])) for recording in far.tolist()]
    return [
        Finding(
            kind="odd_one_out",
            subject="recordings",
            statement=f"{len(far)} recording{'s' * (len(far) != 1)} unlike any other by the classifier's embedding",
            n=len(far),
            share=len(far) / n,
            weight=weigh(STAKES["odd_one_out"], len(far) / n),
            effect=Effect(float(z[far].max()), "robust standard deviations of the farthest"),
            evidence={"bound": _FAR, "neighbours": NEIGHBOURS, "of": n},
            members=members,
        )
    ]


def robust_z(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distances from the median in units of 1.4826 times the median distance; zeros where half of all are equal."""
    off = values - np.median(values)
    spread = 1.4826 * float(np.median(np.abs(off)))
    return off / spread if spread > 0 else np.zeros_like(off)
