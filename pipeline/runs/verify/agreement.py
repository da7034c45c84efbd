"""A part's tables against each other and against what the run promises."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping

import numpy as np
import pyarrow as pa

from pipeline.runs.verify.files import Heard
from pipeline.runs.verify.findings import Findings
from pipeline.runs.verify.promise import Promise
from pipeline.runs.verify.values import keys_of
from schemas.records import TableName

# What rounding to float32 may leave between two ways to one number: probabilities, percent, dB.
_SUM_SLACK, _SLACK, _PERCENT_SLACK, _DB_SLACK = 1e-3, 1e-5, 1e-2, 0.01
_SIDES = ("", "_audio")
# Below, quotients of float32 mean nothing.
_SMALLEST = 1e-30


def check_predictions(predictions: pa.Table, promise: Promise, path: str, findings: Findings) -> None:
    """Check that a decision is the most probable of the explainer's labels, and that probabilities sum to 1."""
    columns = ("window_id", "label", "label_index", "probability", "probabilities")
    for window, label, index, p, values in zip(*(predictions[name].to_pylist() for name in columns), strict=True):
        if len(values) != len(promise.labels):
            message = f"{len(values)} probabilities for {len(promise.labels)} labels"
            findings.add("wrong_probabilities", path, message, window)
            continue
        if not np.isfinite(values).all():
            continue
        if abs(sum(values) - 1) > _SUM_SLACK:
            findings.add("wrong_probabilities", path, f"they sum to {sum(values):g}", window)
        top = int(np.argmax(values))
        if index != top or label != promise.labels[top]:
            message = f"{label!r}, number {index}, but the most probable is {promise.labels[top]!r}, number {top}"
            findings.add("wrong_label", path, message, window)
        elif abs(p - values[top]) > _SLACK:
            message = f"probability is {p:g}, that of the label {values[top]:g}"
            findings.add("wrong_probabilities", path, message, window)


def check_labels(
    tables: Mapping[TableName, pa.Table], promise: Promise, paths: Mapping[TableName, str], findings: Findings
) -> None:
    """Check that each window has a mask and scores for the labels asked for, and for no others."""
    predictions = tables["predictions"]
    probabilities = dict(zip(*(predictions[name].to_pylist() for name in ("window_id", "probabilities")), strict=True))
    for name in ("masks", "faithfulness"):
        explained: dict[str, list[str]] = defaultdict(list)
        for window, label in keys_of(tables[name], name):
            if window not in probabilities:
                findings.add("stray_row", paths[name], "no prediction of this window", f"{window} {label}")
            else:
                explained[window].append(label)
        for window, values in probabilities.items():
            problem = _wrong_labels(explained[window], values, promise)
            if problem:
                findings.add("wrong_labels" if explained[window] else "missing_row", paths[name], problem, window)


def _wrong_labels(found: list[str], probabilities: list[float], promise: Promise) -> str | None:
    wanted = promise.targets.count(promise.labels)
    if not found:
        return f"no row, of {wanted} asked for"
    if strange := sorted(set(found) - set(promise.labels)):
        return f"{', '.join(map(repr, strange))}: no label of the explainer"
    if len(set(found)) != wanted:
        return f"rows for {len(set(found))} labels, of {wanted} asked for"
    numbers = promise.targets.indices(promise.labels)
    if numbers is None and len(probabilities) != len(promise.labels):
        return None  # told of with the predictions
    if numbers is None:
        chosen = {promise.labels.index(label) for label in found}
        least = min(probabilities[number] for number in chosen)
        # Not by rank: labels of one probability may stand in either order.
        better = [p for number, p in enumerate(probabilities) if number not in chosen and p > least]
        return f"{', '.join(map(repr, sorted(found)))} are not the {wanted} most probable" if better else None
    names = {promise.labels[number] for number in numbers}
    return f"{', '.join(map(repr, sorted(set(found) - names)))} was not asked for" if set(found) != names else None


def check_scores(tables: Mapping[TableName, pa.Table], promise: Promise, path: str, findings: Findings) -> None:
    """Check that scores follow from the probabilities beside them, and agree with predictions and masks."""
    scores = tables["faithfulness"]
    keys = keys_of(scores, "faithfulness")
    predictions = tables["predictions"]
    whole = dict(zip(*(predictions[name].to_pylist() for name in ("window_id", "probabilities")), strict=True))
    masks = dict(zip(keys_of(tables["masks"], "masks"), _shares(tables["masks"]), strict=True))
    shares = _shares(scores)
    p = _column(scores, "p")
    for i, (window, label) in enumerate(keys):
        values = whole.get(window, [])
        if label in promise.labels and len(values) == len(promise.labels):
            stated = values[promise.labels.index(label)]
            if abs(stated - p[i]) > _SLACK:
                message = f"p is {p[i]:g}, by predictions {stated:g}"
                findings.add("scores_disagree", path, message, f"{window} {label}")
        if (window, label) in masks and np.abs(np.subtract(masks[window, label], shares[i])).max() > _SLACK:
            message = "mask_mean or energy_kept is another than in masks"
            findings.add("scores_disagree", path, message, f"{window} {label}")
    for side in _SIDES:
        for name, (expected, slack) in _expected(scores, side).items():
            found = _column(scores, name + side)
            for i in np.flatnonzero((np.abs(found - expected) > slack) & (p > _SMALLEST)):
                message = f"{name + side} is {found[i]:g}, by its probabilities {expected[i]:g}"
                findings.add("scores_disagree", path, message, " ".join(keys[i]))


def _shares(table: pa.Table) -> list[tuple[float, float]]:
    return list(zip(*(table[name].to_pylist() for name in ("mask_mean", "energy_kept")), strict=True))


def _expected(scores: pa.Table, side: str) -> dict[str, tuple[np.ndarray, float]]:
    p, p_in, p_out = (_column(scores, name) for name in ("p", f"p_in{side}", f"p_out{side}"))
    gain = 100 * np.maximum(p_in - p, 0) / np.maximum(1 - p, 1e-12)
    return {
        "ai": (100.0 * (p_in > p), _SLACK),
        "ad": (100 * np.maximum(p - p_in, 0) / np.maximum(p, _SMALLEST), _PERCENT_SLACK),
        "ag": (np.where(p < 1, gain, 0), _PERCENT_SLACK),
        "ff": (p - p_out, _SLACK),
    }


def _column(table: pa.Table, name: str) -> np.ndarray:
    values: np.ndarray = table[name].to_numpy().astype(np.float64)
    return values


def check_listenables(
    tables: Mapping[TableName, pa.Table],
    promise: Promise,
    path: str,
    sounds: Collection[str],
    heard: Mapping[str, Heard],
    findings: Findings,
) -> None:
    """Check that each mask has its listenables, and that each is the file that its row says.

    `sounds` are the paths of the part's audio, `heard` what was decoded of them.
    """
    recordings = tables["listenables"]
    found = set(keys_of(recordings, "listenables"))
    wanted = {(*key, kind) for key in keys_of(tables["masks"], "masks") for kind in promise.listenables}
    for key in sorted(wanted - found):
        findings.add("missing_row", path, "a listenable was asked for, and no row tells of it", " ".join(key))
    for key in sorted(found - wanted):
        findings.add("stray_row", path, "a listenable of no mask, or not asked for", " ".join(key))
    predictions = tables["predictions"]
    lengths = dict(zip(*(predictions[name].to_pylist() for name in ("window_id", "duration_s")), strict=True))
    for row in recordings.to_pylist():
        shown = f"{row['window_id']} {row['label']} {row['kind']}"
        if row["uri"] not in sounds:
            findings.add("missing_file", path, f"{row['uri']} is named here, and not by the commit", shown)
        elif row["uri"] in heard:
            for problem in _unlike(row, heard[row["uri"]], lengths.get(row["window_id"])):
                findings.add("wrong_audio", row["uri"], problem, shown)
    for uri in sorted(set(sounds) - set(recordings["uri"].to_pylist())):
        findings.add("stray_file", uri, f"no row of {path} tells of it")


def _unlike(row: Mapping[str, object], sound: Heard, duration_s: float | None) -> list[str]:
    """What a row of recordings says of its file that is not so."""
    stated = float(str(row["duration_s"]))
    problems = []
    if sound.frames != round(stated * sound.sample_rate):
        problems.append(f"{sound.frames} frames, {round(stated * sound.sample_rate)} by its row")
    if duration_s is not None and abs(stated - duration_s) > 0.5 / sound.sample_rate:
        problems.append(f"{stated:g} s by its row, its window has {duration_s:g} s")
    if sound.sample_rate != row["sample_rate"]:
        problems.append(f"{sound.sample_rate} Hz, {row['sample_rate']} Hz by its row")
    if sound.sha256 != row["sha256"]:
        problems.append("its row has another SHA-256")
    if abs(sound.peak_dbfs - float(str(row["peak_dbfs"]))) > _DB_SLACK:
        problems.append(f"its peak is {sound.peak_dbfs:.2f} dBFS, {row['peak_dbfs']:.2f} by its row")
    return problems
