"""Linear probes: what can be read off a layer by a weighted sum of its features."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import binomtest
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedGroupKFold, StratifiedKFold
from sklearn.preprocessing import StandardScaler

from pipeline.inputs.window_set import TrainingDataError

Folds = tuple[tuple[np.ndarray, np.ndarray], ...]

# From the strongest regularisation to the weakest: the first of equals is taken.
_STRENGTHS = tuple(10.0**power for power in range(-2, 5))
_MOST_INNER_FOLDS = 3
_LEAVE_OUT = "leave that label out by emptying it in the table of labels, or by --select"


@dataclass(frozen=True)
class ProbeTask:
    """What the probes predict: labels `[n]` of recordings, and the folds in which they are trained and tested.

    A group, of `groups` `[n]`, is never on both sides of a fold; None if each recording is its own group.
    """

    labels: np.ndarray
    groups: np.ndarray | None
    folds: Folds
    seed: int

    @property
    def chance(self) -> float:
        """Accuracy of always naming the most common label."""
        return max(Counter(self.labels.tolist()).values()) / len(self.labels)


@dataclass(frozen=True)
class ProbeScore:
    """Accuracy over recordings that the probe was not fitted to, its 95% interval, and C as the median over folds."""

    accuracy: float
    low: float
    high: float
    inverse_regularisation: float


def probe_task(labels: Sequence[str], groups: Sequence[str] | None, folds: int, seed: int) -> ProbeTask:
    """Split recordings into folds, stratified by label, in which probes are trained and tested.

    With groups there are no more folds than groups, or recordings of the rarest label. Raises TrainingDataError if
    there are fewer than two labels or groups, or too few recordings of a label for it to be learnt in every fold.
    """
    y = np.asarray(labels)
    counts = Counter(y.tolist())
    if len(counts) < 2:
        only = f"all {len(y)} labelled recordings are {next(iter(counts))!r}" if counts else "no recording has a label"
        raise TrainingDataError(
            f"a probe needs two labels or more, but {only}: pass a table with --labels, another --label-column, "
            "or a wider --select"
        )
    rarest = min(sorted(counts), key=counts.__getitem__)
    # With groups, one recording to test on and two to train on; without, one in every fold.
    what, needed = (f"{folds} folds", folds) if groups is None else ("folds of groups", 3)
    if counts[rarest] < needed:
        fewer = f"give --folds {counts[rarest]}, or " if groups is None and counts[rarest] >= 3 else ""
        raise TrainingDataError(
            f"{what} need {needed} recordings of every label, and {rarest!r} has {counts[rarest]}: {fewer}{_LEAVE_OUT}"
        )
    if groups is None:
        cut: Folds = tuple(StratifiedKFold(folds, shuffle=True, random_state=seed).split(y, y))
        return _checked(ProbeTask(y, None, cut, seed))
    names = np.asarray(groups)
    found = np.unique(names)
    if len(found) < 2:
        raise TrainingDataError(f"all {len(y)} labelled recordings are of one group, {found[0]!r}: leave --group out")
    splits = min(folds, len(found), counts[rarest])
    grouped = StratifiedGroupKFold(splits, shuffle=True, random_state=seed)
    return _checked(ProbeTask(y, names, tuple(grouped.split(y, y, names)), seed))


def probe(features: np.ndarray, task: ProbeTask) -> ProbeScore:
    """Cross-validated accuracy of multinomial logistic regression on features `[n, width]`.

    Features are standardised, and the strength of the L2 penalty is chosen by an inner cross-validation, both on the
    training part of each fold alone (Alain and Bengio 2016, arXiv 1610.01644). The interval is Wilson's, over
    recordings.
    """
    y = task.labels
    hits = np.zeros(len(y), bool)
    strengths = []
    for train, test in task.folds:
        scaler = StandardScaler().fit(features[train].astype(np.float64))
        # All components: a rotation, which does not affect the L2 penalty, to at most as many features as recordings.
        rotation = PCA().fit(scaler.transform(features[train]))
        # Recordings get mean square 1 whatever the width, so that C means the same for every layer, and the solver
        # converges.
        size = np.sqrt(features.shape[1])
        x = [rotation.transform(scaler.transform(features[part])) / size for part in (train, test)]
        search = GridSearchCV(
            LogisticRegression(max_iter=2000),
            {"C": _STRENGTHS},
            scoring="accuracy",
            cv=_inner(task, train),
            error_score="raise",
        ).fit(x[0], y[train])
        hits[test] = search.predict(x[1]) == y[test]
        strengths.append(search.best_params_["C"])
    interval = binomtest(int(hits.sum()), len(hits)).proportion_ci(0.95, method="wilson")
    return ProbeScore(float(hits.mean()), interval.low, interval.high, float(np.median(strengths)))


def _inner(task: ProbeTask, train: np.ndarray) -> Folds:
    y = task.labels[train]
    if task.groups is not None:
        names = task.groups[train]
        least = min(len(set(names[y == label].tolist())) for label in set(y.tolist()))
        if least >= 2:
            grouped = StratifiedGroupKFold(min(_MOST_INNER_FOLDS, least), shuffle=True, random_state=task.seed)
            folds = tuple(grouped.split(y, y, names))
            if all(set(y[learn].tolist()) == set(y.tolist()) for learn, _ in folds):
                return folds
        # A label with only one group cannot be both trained on and tested by groups. The strength is then chosen by
        # recordings, still without the test part.
    least = min(Counter(y.tolist()).values())
    plain = StratifiedKFold(min(_MOST_INNER_FOLDS, least), shuffle=True, random_state=task.seed)
    return tuple(plain.split(y, y))


def _checked(task: ProbeTask) -> ProbeTask:
    y = task.labels
    for label in sorted(set(y.tolist())):
        left = min(int((y[train] == label).sum()) for train, _ in task.folds)
        if left < 2:
            other = "" if task.groups is None else "group by another column, or "
            raise TrainingDataError(
                f"label {label!r} has {int((y == label).sum())} recordings, and a fold leaves {left} of them to learn"
                f" from, where 2 are needed: {other}{_LEAVE_OUT}"
            )
    return task
