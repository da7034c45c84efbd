"""Check counts and sums of a part against its rows, and of a run against its parts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from pipeline.runs.verify.findings import Findings
from pipeline.runs.verify.settings import Settings
from schemas.records import CommitRecord, Sums, TableName, TargetSums

# How much the order of addition and rounding to float32 may change a sum, for each window in it.
_SLACK = {"ad": 1e-4}
_OTHER_SLACK = 1e-6

# The numbers of a summary by their keys: (target, score), ("errors", "reason", reason), ("labelled",), ("hits",).
Numbers = Mapping[tuple[str, ...], float]


def numbers_of(sums: Sums) -> Numbers:
    """Return the numbers in a commit's or a manifest's sums."""
    numbers: dict[tuple[str, ...], float] = {("labelled",): sums.labelled, ("hits",): sums.hits}
    for target, scores in sums.targets.items():
        numbers |= {(target, name): value for name, value in vars(scores).items()}
    return numbers | {("errors", "reason", reason): count for reason, count in sums.reasons.items()}


def check_sums(found: Numbers, stated: Numbers, path: str, findings: Findings) -> None:
    """Check the sums that a record states against those that were found."""
    for key in sorted(found.keys() | stated.keys()):
        made, told = found.get(key, 0.0), stated.get(key, 0.0)
        windows = found.get((key[0], "windows"), 0.0)
        if not abs(made - told) <= _SLACK.get(key[-1], _OTHER_SLACK) * (1 + windows):
            findings.add(
                "wrong_sums", path, f"{told:g} by the record, {made:g} by what it is the sum of", " ".join(key)
            )


def check_commit(
    tables: Mapping[TableName, pa.Table], settings: Settings, path: str, commit: CommitRecord, findings: Findings
) -> None:
    """Check what a commit counts and sums against the rows of its part."""
    predictions, errors = tables["predictions"], tables["errors"]
    # A recording is counted where it begins: with its first window, or as one that is not heard.
    unheard = errors["heard_s"].to_pylist().count(0.0)
    begun = predictions["window_index"].to_pylist().count(0) + unheard
    found = {
        "windows": len(predictions),
        "errors": len(errors),
        "partly": len(errors) - unheard,
        "recordings": begun,
    }
    for name, count in found.items():
        if count != getattr(commit, name):
            findings.add("wrong_count", path, f"{getattr(commit, name)} {name} by the commit, {count} by its rows")
    check_sums(_sums(tables, settings), numbers_of(commit.sums), path, findings)


def _sums(tables: Mapping[TableName, pa.Table], settings: Settings) -> Numbers:
    scores, predictions = tables["faithfulness"], tables["predictions"]
    targets = np.array(scores["target"].to_pylist(), object)
    names = [name for name in TargetSums.model_fields if name != "windows"]
    columns = {name: scores[name].to_numpy().astype(np.float64) for name in names}
    numbers: dict[tuple[str, ...], float] = {}
    for target in set(targets):
        of_target = targets == target
        numbers[target, "windows"] = of_target.sum()
        numbers |= {(target, name): values[of_target].sum() for name, values in columns.items()}
    pairs = zip(predictions["label_true"].to_pylist(), predictions["label"].to_pylist(), strict=True)
    known = [(true, label) for true, label in pairs if not set(settings.labels).isdisjoint(true)]
    numbers["labelled",], numbers["hits",] = len(known), sum(label in true for true, label in known)
    reasons = Counter(tables["errors"]["reason"].to_pylist())
    return numbers | {("errors", "reason", reason): count for reason, count in reasons.items()}
