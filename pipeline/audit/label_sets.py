"""Wrong sets of labels: recordings with a label too many or too few, where several are allowed."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from pipeline.audit.audited import AuditedRun
from pipeline.audit.explained_windows import best_windows
from pipeline.audit.findings import Finding, Member
from pipeline.audit.probes import FOLDS, folds_of, groups_of_same_sound
from pipeline.audit.proportion import proportion
from pipeline.audit.trained_on import trained_on
from pipeline.audit.weight import STAKES, weigh
from schemas.audit_config import AuditConfig

_STRENGTH, _LEARNT = 1e-2, 20_000


def wrong_label_sets(
    about: AuditedRun,
    config: AuditConfig,
    labels: list[list[str]],
    digests: list[list[str]],
    judged: list[str],
    few: dict[str, int],
) -> list[Finding]:
    """Make a finding for each label that recordings seem to lack or have wrongly, by cleanlab's multi-label filter.

    The probabilities `[R, C]` come from a logistic regression for each label on the embeddings, out of fold; with
    `trained_on: no` they are the classifier's own. `labels` are those of the recordings `[R]`; only the `judged` ones
    count. `digests` of the recordings' sound keep copies in one fold.
    Recordings without any label are left out: nobody has said that they have none.
    """
    from cleanlab.multilabel_classification.filter import find_multilabel_issues_per_class

    rows = np.array([number for number, own in enumerate(labels) if own])
    # A label that all recordings have offers no negative examples.
    everywhere = [label for label in judged if all(label in labels[row] for row in rows)]
    if everywhere:
        about.note(
            "label_error", f"not judged, as all labelled recordings have them: {', '.join(map(repr, everywhere))}"
        )
    judged = [label for label in judged if label not in everywhere]
    # Those that lack a judged label are judged as well.
    about.judged["label_error"] = len(rows) if judged else 0
    if not judged:
        return []
    has = np.array([[label in own for label in judged] for own in (labels[row] for row in rows)])
    if config.trained_on == "no" and set(judged) <= set(about.classes):
        chosen = [about.classes.index(label) for label in judged]
        probabilities = about.mean_by_recording(about.probabilities)[rows][:, chosen].astype(np.float64)
        how = "the classifier's own, which has not heard the recordings"
    else:
        groups = groups_of_same_sound([digests[row] for row in rows])
        probabilities = _out_of_fold(about.mean_by_recording(about.embeddings)[rows], has, groups, config.seed)
        how = "probes on the embeddings, one for each label, out of fold"
    given = [np.flatnonzero(row).tolist() for row in has]
    issues = np.asarray(
        find_multilabel_issues_per_class(given, probabilities, filter_by="low_self_confidence", n_jobs=1)
    )
    # No issue where the probability agrees with the label.
    issues &= has != (probabilities > 0.5)
    issues &= ~np.array([about.recordings[row] in about.labelled_by_hand for row in rows])[:, None]
    agreement = float(((probabilities > 0.5) == has).all(axis=1).mean())
    told = {"probabilities": how, "agreement": agreement, "not judged": few, **trained_on(about, config)}
    findings = []
    for number, label in enumerate(judged):
        for there in (True, False):
            wrong = np.flatnonzero(issues[:, number] & (has[:, number] == there))
            if len(wrong):
                of = int((has[:, number] == there).sum())
                scores = np.abs(has[wrong, number] - probabilities[wrong, number])
                findings.append(_finding(about, label, there, rows[wrong], scores, of, told))
    return findings


def _finding(
    about: AuditedRun,
    label: str,
    there: bool,
    rows: NDArray[np.int64],
    scores: NDArray[np.float64],
    of: int,
    told: dict[str, Any],
) -> Finding:
    """A finding about recordings that have a label wrongly, if it is `there`, or else lack it; the clearest first."""
    order = np.argsort(-scores, kind="stable")
    suggestion = f"not {label}" if there else f"also {label}"
    # Prefer a window that explains the label, whether the label is missing or wrong.
    windows, explained = best_windows(about, rows[order].tolist(), [label] * len(rows))
    members = [
        Member(about.recordings[row], window, score, suggestion)
        for row, window, score in zip(rows[order].tolist(), windows, scores[order].tolist(), strict=True)
    ]
    n = len(rows)
    seem = "seems" if n == 1 else "seem"
    what = f"labelled {label!r} {seem} not to be" if there else f"without the label {label!r} {seem} to have it"
    return Finding(
        kind="label_error",
        subject=label if there else f"without {label}",
        statement=f"{n} of {of} recordings {what}",
        n=n,
        share=n / of,
        weight=weigh(STAKES["label_error"], n / len(about.recordings), float(told["agreement"])),
        effect=proportion(n, of, f"of the recordings {'with' if there else 'without'} the label {label!r}"),
        evidence={**told, "suggestion explained": explained, "of": of},
        members=members,
    )


def _out_of_fold(
    features: NDArray[np.float32], has: NDArray[np.bool_], groups: NDArray[np.int64], seed: int
) -> NDArray[np.float64]:
    """Probabilities `[n, C]` of each label by regressions that did not learn from the recording or its copies."""
    # Folds are stratified by the rarest label of each recording.
    rarest = np.where(has, has.sum(axis=0)[None, :], len(has) + 1).argmin(axis=1)
    fold = folds_of(rarest, groups, seed)
    result = np.tile(has.mean(axis=0), (len(has), 1))
    for number in range(FOLDS):
        train, test = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
        if len(train) > _LEARNT:
            train = np.sort(np.random.default_rng(seed).choice(train, _LEARNT, replace=False))
        scaler = StandardScaler().fit(features[train])
        x, unknown = scaler.transform(features[train]), scaler.transform(features[test])
        for label in np.flatnonzero(has[train].any(axis=0) & ~has[train].all(axis=0)):
            model = LogisticRegression(C=_STRENGTH, max_iter=300).fit(x, has[train, label])
            result[test, label] = model.predict_proba(unknown)[:, 1]
    return result
