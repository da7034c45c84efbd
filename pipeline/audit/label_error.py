"""Labels that seem wrong: cleanlab's confident learning on probabilities by models that did not see the recording."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

from pipeline.audit.audited import AuditedRun
from pipeline.audit.explained_windows import best_windows
from pipeline.audit.findings import Finding, Member
from pipeline.audit.label_sets import wrong_label_sets
from pipeline.audit.probes import combined, groups_of_same_sound, neighbours_of, probe_labels
from pipeline.audit.proportion import proportion
from pipeline.audit.trained_on import trained_on
from pipeline.audit.weight import STAKES, weigh
from schemas.audit_config import AuditConfig

# A label with fewer recordings is not judged: a probe learns too little about it in each fold.
ENOUGH = 10
# A judge that agrees with a smaller share of labels doubts many that are right.
_WEAK = 0.8
# A label is wrong, whatever confident learning counts, if another class is this probable, or likely and the label not.
_SURE, _LIKELY, _UNLIKELY = 0.9, 0.7, 0.05
# A label that a smaller share of the foldings doubt is left alone.
_DOUBTED = 1 / 3


@dataclass(frozen=True)
class Judged:
    """Class probabilities `[n, C]` of each recording, which labels seem `wrong` `[n]`, and how they were judged.

    `doubts` `[n]` is the share of the foldings in which a label seems wrong: at least a third for `wrong` ones.
    `agreement` is the share of recordings judged to be what their label says, before any label is doubted.
    """

    probabilities: NDArray[np.float64]
    wrong: NDArray[np.bool_]
    doubts: NDArray[np.float64]
    agreement: float
    how: str


def label_error(about: AuditedRun, config: AuditConfig) -> list[Finding]:
    """Make a finding for each label with recordings that seem to be something else, and say what they seem to be.

    Windows of a recording are averaged. If recordings have several labels, each label is judged by itself
    (`label_sets.py`), else `judge` judges them. Not judged, as notes say, are silent recordings, labels with fewer
    than ten recordings that share no sound, and all labels if the judge does no better than always guessing the most
    frequent one.
    """
    labels, digests = about.of_recordings(about.labels), sound_digests(about)
    if 0 < (bare := sum(not own for own in labels)) < len(labels):
        about.note("label_error", f"not judged, as they have no label: {bare} of {len(labels)} recordings")
    if silent := sum(bool(own) and not heard for own, heard in zip(labels, digests, strict=True)):
        about.note("label_error", f"not judged, as they are silent: {silent} recording{'s' * (silent != 1)}")
    labels = [own if heard else [] for own, heard in zip(labels, digests, strict=True)]
    counts = _different(labels, digests)
    about.judged["label_error"] = 0  # until there is a judge
    judged = sorted(label for label, count in counts.items() if count >= ENOUGH)
    few = {label: count for label, count in sorted(counts.items()) if count < ENOUGH}
    if few:
        about.note(
            "label_error",
            f"not judged, as they have fewer than {ENOUGH} recordings that share no sound: {_listed(few)}",
        )
    if not counts:
        if not silent:
            about.note("label_error", "no recording has a label: pass a table of labels with --labels")
        return []
    if any(len(own) > 1 for own in labels):
        return wrong_label_sets(about, config, labels, digests, judged, few)
    if len(judged) < 2:
        about.note("label_error", "labels are judged against each other, and fewer than two have enough recordings")
        return []
    place = {label: number for number, label in enumerate(judged)}
    rows = np.array([number for number, own in enumerate(labels) if own and own[0] in place])
    y = np.array([place[labels[row][0]] for row in rows])
    own = _own_probabilities(about, config, judged)
    groups = groups_of_same_sound([digests[row] for row in rows])
    embeddings = about.mean_by_recording(about.embeddings)[rows]
    found = judge(embeddings, y, groups, config.seed, None if own is None else own[rows])
    if (guessed := _as_good_as_guessing(y, found.agreement)) is not None:
        about.note(
            "label_error",
            f"not judged: the judge agrees with {found.agreement:.0%} of the labels, no more than guessing "
            f"({guessed:.0%})",
        )
        return []
    if found.agreement < _WEAK:
        about.note(
            "label_error",
            f"the judge agrees with only {found.agreement:.0%} of the labels: many of those it doubts may be right",
        )
    about.judged["label_error"] = len(rows)
    told = {"probabilities": found.how, "agreement": found.agreement, "not judged": few, **trained_on(about, config)}
    return _findings(about, judged, rows, y, found, told)


def judge(
    embeddings: NDArray[np.float32],
    labels: NDArray[np.int64],
    groups: NDArray[np.int64],
    seed: int = 0,
    own: NDArray[np.float64] | None = None,
) -> Judged:
    """Judge the `labels` `[n]`, classes 0 to C - 1, of recordings with `embeddings` `[n, D]`.

    The probabilities come from `probes.probe_labels`; the classifier's `own` `[n, C]`, if it was not trained on the
    recordings, replace those of the probes. Confident learning (Northcutt, Jiang and Chuang 2021, arXiv 1911.00068)
    counts the labels off the diagonal: that many are wrong, with the lowest probability, and also those where
    another class has 0.9, or 0.7 and the label below 0.05, which few or sure recordings would otherwise hide. A few
    recordings can move this hard count, so it is made for each folding, and a label that a third of them doubt is
    wrong.
    """
    if own is None:
        probed = probe_labels(embeddings, labels, groups, seed)
        each, agreement = probed.each, probed.agreement
        how = f"{int(groups.max()) + 1} groups of recordings, out of fold: probes on the embeddings, and neighbours"
    else:
        each = combined(own[None], neighbours_of(embeddings, labels, groups, own.shape[1]))
        agreement = float((own.argmax(axis=1) == labels).mean())
        how = "the classifier's own, which has not heard the recordings, and neighbours by the embeddings"
    each = each / each.sum(axis=2, keepdims=True)
    doubts = np.mean([_wrong(labels, probabilities) for probabilities in each], axis=0)
    probabilities = each.mean(axis=0)
    wrong = (doubts >= _DOUBTED) & (probabilities.argmax(axis=1) != labels)
    return Judged(probabilities, wrong, doubts, agreement, how)


def _wrong(labels: NDArray[np.int64], probabilities: NDArray[np.float64]) -> NDArray[np.bool_]:
    from cleanlab.filter import find_label_issues

    counted = np.asarray(find_label_issues(labels, probabilities, filter_by="low_self_confidence", n_jobs=1))
    most, own = probabilities.max(axis=1), probabilities[np.arange(len(labels)), labels]
    sure = (most >= _SURE) | ((most >= _LIKELY) & (own < _UNLIKELY))
    # Without another class that is likelier there is nothing to suggest.
    return (counted | sure) & (probabilities.argmax(axis=1) != labels)


def _different(labels: Sequence[Sequence[str]], digests: Sequence[Sequence[str]]) -> Counter[str]:
    """Count the recordings of each label, those that share sound only once."""
    groups = groups_of_same_sound(digests).tolist()
    pairs = {(label, group) for own, group in zip(labels, groups, strict=True) for label in own}
    return Counter(label for label, _ in sorted(pairs))


def _as_good_as_guessing(y: NDArray[np.int64], agreement: float) -> float | None:
    """The share of the most frequent label if the judge's agreement is not above it (test at 0.05); else None."""
    most = float(np.bincount(y).max() / len(y))
    p = binomtest(round(agreement * len(y)), len(y), most, alternative="greater").pvalue
    return most if p > 0.05 else None


def sound_digests(about: AuditedRun) -> list[list[str]]:
    """The digests of each recording's windows `[R]`, without silent windows."""
    found: list[list[str]] = [[] for _ in about.recordings]
    columns = (about.windows[name].to_pylist() for name in ("sound_sha256", "silence"))
    for recording, digest, silence in zip(about.recording_of_window.tolist(), *columns, strict=True):
        if silence < 1:
            found[recording].append(digest)
    return found


def _own_probabilities(about: AuditedRun, config: AuditConfig, labels: list[str]) -> NDArray[np.float64] | None:
    """The classifier's own probabilities `[R, C]` of these labels if they may judge, else None."""
    if config.trained_on != "no":
        return None
    if lacking := [label for label in labels if label not in about.classes]:
        about.note("label_error", f"{lacking[0]!r} is no class of the classifier, so probes judge the labels")
        return None
    chosen = about.mean_by_recording(about.probabilities)[:, [about.classes.index(label) for label in labels]]
    return np.asarray(chosen / np.maximum(chosen.sum(axis=1, keepdims=True), 1e-9), np.float64)


def _findings(
    about: AuditedRun,
    classes: list[str],
    rows: NDArray[np.int64],
    y: NDArray[np.int64],
    found: Judged,
    told: dict[str, Any],
) -> list[Finding]:
    right = np.array([about.recordings[row] in about.labelled_by_hand for row in rows])
    labelled = Counter(label for own in about.of_recordings(about.labels) for label in own)
    findings = []
    for number, label in enumerate(classes):
        wrong = np.flatnonzero(found.wrong & ~right & (y == number))
        if not len(wrong):
            continue
        wrong = wrong[np.argsort(found.probabilities[wrong, number], kind="stable")]
        suggested = [classes[one] for one in found.probabilities[wrong].argmax(axis=1)]
        windows, explained = best_windows(about, rows[wrong].tolist(), suggested)
        members = [
            Member(about.recordings[rows[one]], window, float(1 - found.probabilities[one, number]), other)
            for one, window, other in zip(wrong, windows, suggested, strict=True)
        ]
        n, of = len(wrong), int((y == number).sum())
        other, times = Counter(suggested).most_common(1)[0]
        seem = "seems" if n == 1 else "seem"
        mostly = f"something else, {times} of them {other!r}" if times > 1 else "something else"
        mostly = repr(other) if times == n else mostly
        which = "recordings" if of == labelled[label] else "judged recordings"
        findings.append(
            Finding(
                kind="label_error",
                subject=label,
                statement=f"{n} of {of} {which} labelled {label!r} {seem} to be {mostly}",
                n=n,
                share=n / of,
                weight=weigh(STAKES["label_error"], n / len(about.recordings), found.agreement),
                effect=proportion(n, of, f"of the recordings labelled {label!r}"),
                evidence={
                    **told,
                    "suggested": dict(Counter(suggested)),
                    "suggestion explained": explained,
                    "of": of,
                    "doubted by so many foldings": {
                        "least": round(float(found.doubts[wrong].min()), 2),
                        "median": round(float(np.median(found.doubts[wrong])), 2),
                    },
                },
                members=members,
            )
        )
    return findings


def _listed(counts: dict[str, int]) -> str:
    shown = [f"{label!r} ({count})" for label, count in list(counts.items())[:10]]
    return ", ".join(shown) + (f" and {len(counts) - 10} more" if len(counts) > 10 else "")
