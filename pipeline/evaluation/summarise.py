"""Summarise results per window for people: means with intervals, and which variant of each method counts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.attribution.trained import OWN_ORDERS
from pipeline.evaluation.bootstrap import Bootstrap, Interval
from pipeline.evaluation.curves import SCORES as CURVE_SCORES
from pipeline.evaluation.curves import area
from pipeline.evaluation.methods import is_own
from schemas.evaluation_tables import AREAS, DIFFERENCES, POINTS, SPECTRAL, SUMMARY, WRITTEN

SOFT = (*SPECTRAL, *WRITTEN)
POINT_SCORES = ("bins_kept", "energy_kept", *CURVE_SCORES[1:])
BY = ("bins", "energy")
SIDES = {"insertion": "p_in", "deletion": "p_out"}
# A larger mask keeps most of everything, and is best in AD and Fid-In by its size alone.
LARGEST_MEAN = 0.5
# A control of which every variant is of interest, as none is an explanation.
SHOWN_WHOLE = "constant"

Row = dict[str, Any]
# By score: the counted mask or order, and the values `[W]`.
Columns = dict[str, tuple[str, np.ndarray]]


@dataclass(frozen=True)
class Curves:
    """One ranking's curves: by kind of budget the budgets, and scores `[W, K, S]` in the order of `POINT_SCORES`.

    A ranking per energy has curves for budgets of energy alone.
    """

    budgets: dict[str, tuple[float, ...]]
    values: dict[str, np.ndarray]

    def areas(self, by: str) -> dict[str, np.ndarray]:
        """Return areas `[W]` by side, for one kind of budget."""
        return {
            side: area(self.values[by][:, :, POINT_SCORES.index(score)], self.budgets[by])
            for side, score in SIDES.items()
        }

    def at_sizes(self, by: str) -> dict[str, np.ndarray]:
        """Return AD and FF `[W]` at every size of one kind of budget, by names such as `ff at 10% of bins`."""
        return {
            f"{score} at {100 * budget:g}% of {by}": self.values[by][:, place, POINT_SCORES.index(score)]
            for place, budget in enumerate(self.budgets[by])
            for score in ("ad", "ff")
        }


def soft_variants(scores: pa.Table) -> dict[str, np.ndarray]:
    """Return scores `[W, S]` in the order of `SOFT`, by mask, for one audio and method."""
    return {how: _columns(rows, SOFT) for how, rows in _groups(scores, "mask")}


def curve_variants(curves: pa.Table) -> dict[str, Curves]:
    """Return curves by ranking, for one audio and method."""
    found = {}
    for how, rows in _groups(curves, "ranking"):
        budgets, values = {}, {}
        for by, points in _groups(rows, "by"):
            budgets[by] = tuple(sorted(pc.unique(points["budget"]).to_pylist()))
            at = [_columns(points.filter(pc.equal(points["budget"], budget)), POINT_SCORES) for budget in budgets[by]]
            values[by] = np.stack(at, axis=1)
        found[how] = Curves(budgets, values)
    return found


def best_mask(variants: Mapping[str, np.ndarray]) -> str:
    """Return the mask that is best for a method: the highest mean of `FF - AD / 100` on this same audio.

    This is generous to baselines, as it is chosen on the audio that they are scored on. Only masks with a mean of at
    most 0.5 compete, if there are any, as a mask that keeps nearly everything would win by its size.
    """
    means = {how: dict(zip(SOFT, values.mean(axis=0), strict=True)) for how, values in variants.items()}
    small = [how for how, mean in means.items() if mean["mask_mean"] <= LARGEST_MEAN]
    return max(small or means, key=lambda how: means[how]["ff"] - means[how]["ad"] / 100)


def best_ranking(variants: Mapping[str, Curves], by: str) -> str:
    """Return the best order for a method and one kind of budget: by insertion minus deletion, on this same audio."""

    def gap(how: str) -> float:
        areas = variants[how].areas(by)
        return float(areas["insertion"].mean() - areas["deletion"].mean())

    return max((how for how in variants if by in variants[how].values), key=gap)


def summarise_audio(
    audio: str, scores: Mapping[str, pa.Table], curves: Mapping[str, pa.Table], bootstrap: Bootstrap
) -> dict[str, pa.Table]:
    """Make the tables `summary`, `points`, `areas` and `differences` of one audio, from results by method."""
    summary: list[Row] = []
    points: list[Row] = []
    areas: list[Row] = []
    columns: dict[str, Columns] = {}
    for method, table in scores.items():
        variants = soft_variants(table)
        best = best_mask(variants)
        columns[method] = {name: (best, values) for name, values in zip(SOFT, variants[best].T, strict=True)}
        for how, values in variants.items():
            place = {"audio": audio, "method": method, "mask": how, "best": how == best or method == SHOWN_WHOLE}
            summary += _rows([{**place, "score": name} for name in SOFT], bootstrap.interval(values))
    for method, table in curves.items():
        orders = curve_variants(table)
        own = columns.setdefault(method, {})
        for by in BY:
            order = OWN_ORDERS[by] if is_own(method) else best_ranking(orders, by)
            counted = {f"{side} by {by}": values for side, values in orders[order].areas(by).items()}
            own.update({name: (order, values) for name, values in {**counted, **orders[order].at_sizes(by)}.items()})
            for how, one in orders.items():
                if by in one.values:
                    place = {"audio": audio, "method": method, "ranking": how, "best": how == order, "by": by}
                    found_points, found_areas = _curve_rows(place, one, by, bootstrap)
                    points += found_points
                    areas += found_areas
    return {
        "summary": pa.Table.from_pylist(summary, SUMMARY),
        "points": pa.Table.from_pylist(points, POINTS),
        "areas": pa.Table.from_pylist(areas, AREAS),
        "differences": pa.Table.from_pylist(_differences(audio, columns, bootstrap), DIFFERENCES),
    }


def best_localisation(rows: pa.Table, mask: str | None, order: str | None = None) -> pa.Table:
    """Select a method's rows of one mask (None: the first) and one order (None: the one of highest mean AUROC)."""
    mask = mask or rows["mask"][0].as_py()
    rows = rows.filter(pc.equal(rows["mask"], mask))
    orders = {how: pc.mean(group["auroc"]).as_py() or 0.0 for how, group in _groups(rows, "ranking")}
    best = order or max(orders, key=lambda how: orders[how])
    return rows.filter(pc.equal(rows["ranking"], best)).drop_columns(["ranking"])


def _curve_rows(place: Row, one: Curves, by: str, bootstrap: Bootstrap) -> tuple[list[Row], list[Row]]:
    names = [{**place, "budget": budget, "score": name} for budget in one.budgets[by] for name in POINT_SCORES]
    points = _rows(names, bootstrap.interval(one.values[by].reshape(len(one.values[by]), -1)))
    taken = one.areas(by)
    sides = [{**place, "side": side} for side in taken]
    return points, _rows(sides, bootstrap.interval(np.stack(list(taken.values()), axis=1)))


def _differences(audio: str, columns: Mapping[str, Columns], bootstrap: Bootstrap) -> list[Row]:
    rows: list[Row] = []
    for method, ours in columns.items():
        if not is_own(method):
            continue
        for baseline, theirs in columns.items():
            names = [name for name in ours if name in theirs and name != "p"]
            if baseline == method or not names:
                continue
            apart = np.stack([ours[name][1] - theirs[name][1] for name in names], axis=1)
            place = {"audio": audio, "method": method, "baseline": baseline}
            rows += _rows(
                [{**place, "mask": ours[name][0], "score": name} for name in names], bootstrap.interval(apart)
            )
    return rows


def _rows(heads: Sequence[Row], found: Interval) -> list[Row]:
    bounds = zip(heads, found.value.tolist(), found.low.tolist(), found.high.tolist(), strict=True)
    return [{**head, "value": value, "low": low, "high": high, "n": found.n} for head, value, low, high in bounds]


def _groups(table: pa.Table, column: str) -> Iterable[tuple[str, pa.Table]]:
    for name in pc.unique(table[column]).to_pylist():
        yield name, table.filter(pc.equal(table[column], name))


def _columns(table: pa.Table, names: Sequence[str]) -> np.ndarray:
    ordered = table.sort_by("window")
    return np.stack([ordered[name].to_numpy() for name in names], axis=1).astype(np.float64)
