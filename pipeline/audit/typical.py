"""The recordings of each class that are most typical, those least certain, and those sure and wrong."""

from __future__ import annotations

from collections import Counter

import numpy as np

from pipeline.audit.audited import AuditedRun
from pipeline.audit.duplicates.neighbours import unit_vectors
from pipeline.audit.findings import Effect, Finding
from pipeline.audit.weight import STAKES, weigh
from schemas.audit_config import AuditConfig

# Recordings shown per kind and class, and how sure a wrong decision must be.
_SHOWN, _SURE = 5, 0.9
MOST_TYPICAL, LEAST_CERTAIN = "most typical", "least certain"


def typical(about: AuditedRun, config: AuditConfig) -> list[Finding]:
    """Make a finding for each class: recordings to listen to, for the reason in the members' suggestions.

    The classes are the recordings' labels, or the decisions if there are no labels. Each has five recordings that are
    `most typical` (nearest to the mean of the class by the embeddings), up to five that are `least certain` (the lowest
    probability of the class, below 0.9), and those that the classifier calls something else with at least 0.9, the
    surest first.
    """
    probabilities = about.mean_by_recording(about.probabilities)
    decisions = [about.classes[one] for one in probabilities.argmax(axis=1)]
    labels = about.of_recordings(about.labels)
    labelled = any(labels)
    vectors = unit_vectors(about.mean_by_recording(about.embeddings))
    by_class: dict[str, list[int]] = {}
    for recording, own in enumerate(labels if labelled else [[one] for one in decisions]):
        for name in own:
            by_class.setdefault(name, []).append(recording)
    findings = []
    for name, own in sorted(by_class.items()):
        rows = np.array(own)
        known = name in about.classes
        sure = probabilities[rows, about.classes.index(name)] if known else probabilities[rows].max(axis=1)
        near = vectors[rows] @ vectors[rows].mean(axis=0)
        chosen = [(rows[one], float(near[one]), MOST_TYPICAL) for one in np.argsort(-near, kind="stable")[:_SHOWN]]
        doubted = [one for one in np.argsort(sure, kind="stable")[:_SHOWN] if sure[one] < _SURE]
        chosen += [(rows[one], float(1 - sure[one]), LEAST_CERTAIN) for one in doubted]
        wrong = [row for row in own if labelled and known and decisions[row] not in labels[row]]
        surely = [row for row in wrong if probabilities[row].max() >= _SURE]
        surely.sort(key=lambda row: -float(probabilities[row].max()))
        chosen += [(row, float(probabilities[row].max()), f"sure and wrong: {decisions[row]}") for row in surely]
        called = f"called so in {len(own) - len(wrong)}, " if labelled and known else ""
        findings.append(
            Finding(
                kind="typical",
                subject=name,
                statement=f"{name!r} in {len(own)} recordings: {called}with p {sure.mean():.2f} on average"
                + (f"; {len(surely)} sure and wrong" if surely else ""),
                n=len(own),
                share=len(own) / len(about.recordings),
                weight=weigh(STAKES["typical"], len(own) / len(about.recordings)),
                effect=Effect(
                    float(sure.mean()), f"probability of {name!r}" if known else "probability of the decision"
                ),
                evidence={"called": dict(Counter(decisions[row] for row in own)), "sure and wrong": len(surely)},
                members=[about.member(row, score, what) for row, score, what in chosen],
            )
        )
    return findings
