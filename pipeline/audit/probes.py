"""Out-of-fold probabilities of labels, by probes on embeddings that did not learn from the recording."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from pipeline.audit.duplicates.neighbours import nearest, unit_vectors

FOLDS, NEIGHBOURS = 5, 10
# Strengths of the L2 penalty, the strongest first; the one that predicts best out of fold is used.
_STRENGTHS = (1e-3, 1e-2, 1e-1, 1.0)
# Foldings (repeats of the cross-validation) that are worth their time for up to this many recordings; beyond, one.
_FOLDINGS, _FEW = ((2_000, 9), (10_000, 3)), 10_000
# Most recordings that a probe learns from, fewer where there are many classes.
_LEARNT, _LEARNT_TIMES_CLASSES = 20_000, 1_000_000


@dataclass(frozen=True)
class Probed:
    """Probabilities by `probes` in each folding `[K, n, C]`, and by `neighbours` `[n, C]`; `agreement` is how often the
    probes name the given label."""

    probes: NDArray[np.float64]
    neighbours: NDArray[np.float64]
    agreement: float

    @property
    def each(self) -> NDArray[np.float64]:
        """Both combined, for each folding `[K, n, C]`."""
        return combined(self.probes, self.neighbours)

    @property
    def probabilities(self) -> NDArray[np.float64]:
        """Both combined, the mean of all foldings `[n, C]`."""
        return np.asarray(self.each.mean(axis=0))


def combined(each: NDArray[np.float64], neighbours: NDArray[np.float64]) -> NDArray[np.float64]:
    """Combine probabilities `[K, n, C]` with those by neighbours `[n, C]`, which count half as much."""
    return (2 * each + neighbours) / 3


def probe_labels(
    features: NDArray[np.float32], labels: NDArray[np.int64], groups: NDArray[np.int64], seed: int = 0
) -> Probed:
    """Probabilities of the classes 0 to C - 1 for each of `n` recordings, by probes that did not learn from it.

    `features` `[n, D]` are standardised; a multinomial logistic regression learns their `labels` `[n]` in folds that
    keep `groups` `[n]` together. A second pass leaves out the recordings whose label the first one doubted, so that
    wrong labels teach nothing; both passes are averaged. The neighbours' probability of a label is its share among the
    ten nearest recordings of other groups, by cosine.
    """
    n_classes = int(labels.max()) + 1
    foldings = foldings_for(len(labels), seed)
    strength = best_strength(features, labels, groups, foldings)
    everything = np.ones(len(labels), bool)
    first = _by_folding(features, labels, groups, everything, strength, foldings)
    agrees = first.mean(axis=0).argmax(axis=1) == labels
    # Otherwise a class whose every label is doubted would vanish.
    kept = agrees | ~np.isin(labels, np.flatnonzero(np.bincount(labels[agrees], minlength=n_classes) >= FOLDS))
    second = _by_folding(features, labels, groups, kept, strength, foldings)
    return Probed((first + second) / 2, neighbours_of(features, labels, groups, n_classes), float(agrees.mean()))


def foldings_for(n: int, seed: int = 0) -> list[int]:
    """Return the seeds of the cross-validations for `n` recordings: nine for few, one for many."""
    count = next((count for most, count in _FOLDINGS if n <= most), 1)
    return [seed * count + number for number in range(count)]


def groups_of_same_sound(digests: Sequence[Sequence[str]]) -> NDArray[np.int64]:
    """A group number for each recording, equal for those that share a window's digest, directly or through others."""
    numbers: dict[str, int] = {}
    pairs = [
        (recording, numbers.setdefault(digest, len(numbers))) for recording, own in enumerate(digests) for digest in own
    ]
    n, rows, columns = len(digests), [one for one, _ in pairs], [len(digests) + other for _, other in pairs]
    graph = coo_matrix((np.ones(len(pairs), np.int8), (rows, columns)), shape=(n + len(numbers),) * 2)
    return np.asarray(connected_components(graph, directed=False)[1][:n], np.int64)


def folds_of(labels: NDArray[np.int64], groups: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """The fold of each recording: groups stay together, and are stratified by the label of their first recording."""
    rng = np.random.default_rng(seed)
    unique, first, of = np.unique(groups, return_index=True, return_inverse=True)
    fold = np.empty(len(unique), np.int64)
    start = 0
    for label in np.unique(labels[first]):
        own = rng.permutation(np.flatnonzero(labels[first] == label))
        fold[own] = (start + np.arange(len(own))) % FOLDS
        start += len(own)
    return fold[of]


def _by_folding(
    features: NDArray[np.float32],
    labels: NDArray[np.int64],
    groups: NDArray[np.int64],
    kept: NDArray[np.bool_],
    strength: float,
    foldings: Sequence[int],
) -> NDArray[np.float64]:
    return np.stack([_out_of_fold(features, labels, groups, kept, strength, seed) for seed in foldings])


def _out_of_fold(
    features: NDArray[np.float32],
    labels: NDArray[np.int64],
    groups: NDArray[np.int64],
    kept: NDArray[np.bool_],
    strength: float,
    seed: int,
) -> NDArray[np.float64]:
    n_classes = int(labels.max()) + 1
    result = np.zeros((len(labels), n_classes))
    for train, test in _splits(labels, groups, seed):
        learnt = _sampled(train[kept[train]], labels, n_classes, seed)
        scaler = StandardScaler().fit(features[learnt])
        model = LogisticRegression(C=strength, max_iter=300).fit(scaler.transform(features[learnt]), labels[learnt])
        result[np.ix_(test, model.classes_)] = model.predict_proba(scaler.transform(features[test]))
    return result


def _splits(
    labels: NDArray[np.int64], groups: NDArray[np.int64], seed: int
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    fold = folds_of(labels, groups, seed)
    for number in range(FOLDS):
        test = fold == number
        if test.any() and len(np.unique(labels[~test])) > 1:
            yield np.flatnonzero(~test), np.flatnonzero(test)


def _sampled(rows: NDArray[np.int64], labels: NDArray[np.int64], n_classes: int, seed: int) -> NDArray[np.int64]:
    """Sample at most as many rows as a probe learns from in time: the same share of each label, but ten or all."""
    limit = min(_LEARNT, max(_LEARNT_TIMES_CLASSES // n_classes, 10 * n_classes))
    if len(rows) <= limit:
        return rows
    order = np.random.default_rng(seed).permutation(rows)
    order = order[np.argsort(labels[order], kind="stable")]
    counts = np.bincount(labels[order], minlength=n_classes)
    take = np.minimum(counts, np.maximum(10, counts * limit // len(rows)))
    place = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)
    return np.sort(order[place < np.repeat(take, counts)])


def best_strength(
    features: NDArray[np.float32], labels: NDArray[np.int64], groups: NDArray[np.int64], foldings: Sequence[int]
) -> float:
    """Return the strength of the penalty, scikit-learn's C, whose out-of-fold probabilities have the lowest log loss.

    `features` are `[n, D]`, `labels` and `groups` `[n]`, as in `probe_labels`; `foldings` are the seeds of the
    cross-validations that are averaged.
    """
    seed = foldings[0]
    rows = _sampled(np.arange(len(labels)), labels, int(labels.max()) + 1, seed)
    if len(rows) > _FEW:
        rows = np.sort(np.random.default_rng(seed).choice(rows, _FEW // 2, replace=False))
    x, groups = features[rows], groups[rows]
    y = np.unique(labels[rows], return_inverse=True)[1]
    losses = []
    for strength in _STRENGTHS:
        made = _by_folding(x, y, groups, np.ones(len(y), bool), strength, foldings)
        losses.append(-np.log(np.maximum(made[:, np.arange(len(y)), y], 1e-9)).mean())
    return _STRENGTHS[int(np.argmin(losses))]


def neighbours_of(
    features: NDArray[np.float32], labels: NDArray[np.int64], groups: NDArray[np.int64], n_classes: int
) -> NDArray[np.float64]:
    """The share `[n, C]` of each label among the ten nearest recordings of other groups, by cosine of `[n, D]`."""
    near, _ = nearest(unit_vectors(features.copy()), groups, NEIGHBOURS)
    votes = np.zeros((len(labels), n_classes))
    rows, places = np.nonzero(near >= 0)
    np.add.at(votes, (rows, labels[near[rows, places]]), 1.0)
    return np.asarray(votes / np.maximum(votes.sum(axis=1, keepdims=True), 1.0))
