"""Check a part's tables against each other and against the run's record."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from pipeline.runs.verify.findings import Findings
from pipeline.runs.verify.settings import Settings
from pipeline.runs.verify.values import keys_of
from schemas.records import TableName

# How much rounding to float32 may change a number computed in two ways: probabilities, percent.
_SUM_SLACK, _SLACK, _PERCENT_SLACK = 1e-3, 1e-5, 1e-2
_SIDES = ("", "_audio")
# Below this, quotients of float32 mean nothing.
_SMALLEST = 1e-30


def check_predictions(predictions: pa.Table, settings: Settings, path: str, findings: Findings) -> None:
    """Check that each decision is the most probable of the explainer's labels, and that probabilities sum to 1."""
    columns = ("window_id", "label", "label_index", "probability", "probabilities")
    for window, label, index, p, values in zip(*(predictions[name].to_pylist() for name in columns), strict=True):
        if len(values) != len(settings.labels):
            message = f"{len(values)} probabilities for {len(settings.labels)} labels"
            findings.add("wrong_probabilities", path, message, window)
            continue
        if not np.isfinite(values).all():
            continue
        if abs(sum(values) - 1) > _SUM_SLACK:
            findings.add("wrong_probabilities", path, f"they sum to {sum(values):g}", window)
        top = int(np.argmax(values))
        if index != top or label != settings.labels[top]:
            message = f"{label!r}, number {index}, but the most probable is {settings.labels[top]!r}, number {top}"
            findings.add("wrong_label", path, message, window)
        elif abs(p - values[top]) > _SLACK:
            message = f"probability is {p:g}, that of the label {values[top]:g}"
            findings.add("wrong_probabilities", path, message, window)


def check_audio_scores(scores: pa.Table, settings: Settings, path: str, findings: Findings) -> None:
    """Check that the written audio was classified again for the windows that are drawn, and for no others."""
    names = [name for name in scores.column_names if name.endswith("_audio")]
    there = [scores[name].is_valid().to_pylist() for name in names]
    for key, *known in zip(keys_of(scores, "faithfulness"), *there, strict=True):
        if settings.audio_scores.takes(key[0]) and not all(known):
            message = f"its audio is drawn by --audio-scores {settings.audio_scores}, and not scored"
            findings.add("missing_scores", path, message, " ".join(key))
        elif not settings.audio_scores.takes(key[0]) and any(known):
            message = f"its audio is scored, and not drawn by --audio-scores {settings.audio_scores}"
            findings.add("stray_scores", path, message, " ".join(key))


def check_targets(
    tables: Mapping[TableName, pa.Table], settings: Settings, paths: Mapping[TableName, str], findings: Findings
) -> None:
    """Check that each window has a mask and scores for its targets, and for no others."""
    predictions = tables["predictions"]
    probabilities = dict(zip(*(predictions[name].to_pylist() for name in ("window_id", "probabilities")), strict=True))
    for name in ("masks", "faithfulness"):
        explained: dict[str, list[str]] = defaultdict(list)
        for window, target in keys_of(tables[name], name):
            if window not in probabilities:
                findings.add("stray_row", paths[name], "no prediction of this window", f"{window} {target}")
            else:
                explained[window].append(target)
        for window, values in probabilities.items():
            problem = _wrong_targets(explained[window], values, settings)
            if problem:
                findings.add("wrong_targets" if explained[window] else "missing_row", paths[name], problem, window)


def _wrong_targets(found: list[str], probabilities: list[float], settings: Settings) -> str | None:
    expected = settings.targets.count(settings.labels)
    if not found:
        return f"no row for it, {expected} expected"
    if strange := sorted(set(found) - set(settings.labels)):
        return f"{', '.join(map(repr, strange))}: no class of the explainer"
    if len(set(found)) != expected:
        return f"rows for {len(set(found))} targets, {expected} expected"
    numbers = settings.targets.indices(settings.labels)
    if numbers is None and len(probabilities) != len(settings.labels):
        return None  # found with the predictions
    if numbers is None:
        chosen = {settings.labels.index(target) for target in found}
        least = min(probabilities[number] for number in chosen)
        # Not by rank: classes of equal probability may be in either order.
        better = [p for number, p in enumerate(probabilities) if number not in chosen and p > least]
        return f"{', '.join(map(repr, sorted(found)))} are not the {expected} most probable" if better else None
    names = {settings.labels[number] for number in numbers}
    return (
        f"{', '.join(map(repr, sorted(set(found) - names)))} is no target of the run" if set(found) != names else None
    )


def check_scores(tables: Mapping[TableName, pa.Table], settings: Settings, path: str, findings: Findings) -> None:
    """Check that scores follow from the probabilities beside them, and agree with predictions and masks."""
    scores = tables["faithfulness"]
    keys = keys_of(scores, "faithfulness")
    predictions = tables["predictions"]
    whole = dict(zip(*(predictions[name].to_pylist() for name in ("window_id", "probabilities")), strict=True))
    masks = dict(zip(keys_of(tables["masks"], "masks"), _shares(tables["masks"]), strict=True))
    shares = _shares(scores)
    p = _column(scores, "p")
    for i, (window, target) in enumerate(keys):
        values = whole.get(window, [])
        if target in settings.labels and len(values) == len(settings.labels):
            stated = values[settings.labels.index(target)]
            if abs(stated - p[i]) > _SLACK:
                message = f"p is {p[i]:g}, by predictions {stated:g}"
                findings.add("scores_disagree", path, message, f"{window} {target}")
        if (window, target) in masks and np.abs(np.subtract(masks[window, target], shares[i])).max() > _SLACK:
            message = "mask_mean or energy_kept differs from that in masks"
            findings.add("scores_disagree", path, message, f"{window} {target}")
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
