"""Read the results of an evaluation for its report: means by audio, variant of a method, and score."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.evaluation.methods import IDEAL, is_own
from pipeline.evaluation.names import printed
from schemas.evaluation_tables import TABLES

# Controls explain nothing: they are shown, but are not baselines. At 77% of the energy a random order keeps most bins.
CONTROLS = ("random", "constant")
SANITY_TESTS = ("randomisation", "stability", "masked_out")
Row = dict[str, Any]


class Interval(NamedTuple):
    """A mean over `n` windows and its 95% interval."""

    value: float
    low: float
    high: float
    n: int

    def overlaps(self, other: Interval) -> bool:
        """Return whether the two intervals share a point."""
        return self.low <= other.high and other.low <= self.high


class Variant(NamedTuple):
    """A method, how its relevance was turned into a mask or an order, and whether this is the variant that counts.

    If one order counts for budgets of bins and another for budgets of energy, the two are one variant.
    """

    method: str
    how: str
    best: bool


# A key is `(score,)` in a summary, `(by, budget, score)` of a point, and `(side, by)` of an area.
Key = tuple[Any, ...]
Means = dict[Variant, dict[Key, Interval]]


@dataclass(frozen=True)
class Results:
    """The tables of an evaluation, with methods in the order of `facts`; what was not measured is empty.

    `facts` are the fields of `evaluation.json`, None if missing. Means and `differences` are by audio, `sanity` by
    test; the rows of both hold their `interval`.
    """

    facts: dict[str, Any]
    audio: list[str]
    summary: dict[str, Means]
    points: dict[str, Means]
    areas: dict[str, Means]
    differences: dict[str, list[Row]]
    sanity: dict[str, list[Row]]
    timing: list[Row]
    localisation: pa.Table

    def p(self, audio: str) -> float | None:
        """Return the mean probability of the class explained on the whole input; None if it was not measured."""
        return next((means["p",].value for means in self.summary.get(audio, {}).values() if ("p",) in means), None)


def read_results(directory: Path) -> Results:
    """Read `evaluation.json` and the tables next to it; a missing table counts as an empty one.

    Raises FileNotFoundError if `directory` holds no evaluation, ValueError for a table that lacks a column.
    """
    record = directory / "evaluation.json"
    if not record.is_file():
        raise FileNotFoundError(f"{directory} holds no evaluation: {record.name} is missing; run `lmac evaluate` first")
    facts: dict[str, Any] = defaultdict(lambda: None, json.loads(record.read_text("utf-8")))
    tables = {name: _read(directory, name) for name in TABLES if name not in ("scores", "curves")}
    rows = {name: table.to_pylist() for name, table in tables.items() if name != "localisation"}
    methods = dict.fromkeys([*(facts["methods"] or ()), *(row["method"] for some in rows.values() for row in some)])
    place = {method: number for number, method in enumerate(methods)}
    for name, some in rows.items():
        by = "baseline" if name == "differences" else "method"
        some.sort(key=lambda row: (place.get(row[by], len(place)), row.get("order", 0)))
        for row in some:
            if "value" in row:
                row["interval"] = _interval(row)
    means = {
        "summary": _by_variant(rows["summary"], "mask", ("score",)),
        "points": _by_variant(rows["points"], "ranking", ("by", "budget", "score")),
        "areas": _by_variant(rows["areas"], "ranking", ("side", "by")),
    }
    differences: dict[str, list[Row]] = {}
    for row in rows["differences"]:
        differences.setdefault(row["audio"], []).append(row)
    named = [audio for table in means.values() for audio in table] + list(differences)
    return Results(
        facts=facts,
        audio=list(dict.fromkeys([*(facts["audio"] or ()), *named])),
        **means,
        differences=differences,
        sanity={test: checks for test in SANITY_TESTS if (checks := [r for r in rows["sanity"] if r["test"] == test])},
        timing=rows["timing"],
        localisation=tables["localisation"],
    )


def is_baseline(method: str) -> bool:
    """Return whether a method is a baseline, which `lmac` is compared with."""
    return not is_own(method) and method != IDEAL and method not in CONTROLS


def counted(variants: Iterable[Variant]) -> list[Variant]:
    """Return the variants that count; all variants of a method if none is marked."""
    found = list(variants)
    marked = {variant.method for variant in found if variant.best}
    return [variant for variant in found if variant.best or variant.method not in marked]


def variant_name(variant: Variant, among: Iterable[Variant]) -> str:
    """Return a unique name of a variant: the method's, with the mask or order if it has several."""
    several = sum(other.method == variant.method for other in among) > 1
    return f"{printed(variant.method)} ({printed(variant.how)})" if several else printed(variant.method)


def best(means: Mapping[Variant, Mapping[Key, Interval]], key: Key, higher: bool) -> Variant | None:
    """Return the variant with the best value of a key, the first among equals; None if it was not measured."""
    values = {variant: of[key].value for variant, of in means.items() if key in of}
    sign = 1 if higher else -1
    known = [variant for variant, value in values.items() if not math.isnan(value)]
    return max(known, key=lambda variant: sign * values[variant], default=None)


def mean_gap(areas: Mapping[Key, Interval]) -> float:
    """Compute insertion minus deletion, averaged over bins and energy; NaN if nothing was measured on both sides."""
    both = [by for side, by in areas if side == "insertion" and ("deletion", by) in areas]
    gaps = [areas["insertion", by].value - areas["deletion", by].value for by in both]
    return sum(gaps) / len(gaps) if gaps else math.nan


def ranked(results: Results, audio: str) -> list[Variant]:
    """Return the variants that count, best area first; those without areas last, in the order of the methods."""
    areas = results.areas.get(audio, {})
    known = {variant.method for variant in areas}
    rest = [variant for variant in counted(results.points.get(audio, {})) if variant.method not in known]
    gaps = {variant: mean_gap(areas.get(variant, {})) for variant in [*counted(areas), *rest]}
    return sorted(gaps, key=lambda variant: math.inf if math.isnan(gaps[variant]) else -gaps[variant])


def _read(directory: Path, name: str) -> pa.Table:
    schema, path = TABLES[name], directory / f"{name}.parquet"
    if not path.is_file():
        return schema.empty_table()
    table = pq.read_table(path)
    if missing := [column for column in schema.names if column not in table.column_names]:
        raise ValueError(
            f"{path} has no column {', '.join(missing)}; it was written by another version: evaluate again"
        )
    return table.select(schema.names).cast(schema)


def _by_variant(rows: list[Row], how: str, key: tuple[str, ...]) -> dict[str, Means]:
    best_orders: dict[tuple[str, str], dict[str, None]] = {}
    for row in rows:
        if row["best"] and how == "ranking":
            best_orders.setdefault((row["audio"], row["method"]), {})[row[how]] = None
    found: dict[str, Means] = {}
    for row in rows:
        orders = best_orders.get((row["audio"], row["method"]), ()) if row["best"] else ()
        variant = Variant(row["method"], ", ".join(orders) or row[how], row["best"])
        place = tuple(round(row[name], 6) if name == "budget" else row[name] for name in key)
        found.setdefault(row["audio"], {}).setdefault(variant, {})[place] = row["interval"]
    return found


def _interval(row: Row) -> Interval:
    value, low, high = (math.nan if row[name] is None else row[name] for name in ("value", "low", "high"))
    return Interval(value, low, high, row["n"])
