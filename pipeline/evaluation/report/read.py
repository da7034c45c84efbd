"""What an evaluation wrote, read for its report."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict

from schemas.evaluation_tables import TABLES


class Interval(NamedTuple):
    """A mean over `n` windows and its 95% interval."""

    value: float
    low: float
    high: float
    n: int

    def overlaps(self, other: Interval) -> bool:
        """Whether the two intervals share a point."""
        return self.low <= other.high and other.low <= self.high


class Variant(NamedTuple):
    """A method, how its relevance was made a mask or an order, and whether this is the way that counts.

    Where one order counts for budgets of bins and another for those of energy, the two are one variant.
    """

    method: str
    how: str
    best: bool


class Size(NamedTuple):
    """A share `budget` of the `bins` or of the `energy`."""

    by: str
    budget: float


class Area(NamedTuple):
    """The area under a curve: its side (`insertion` or `deletion`) and what its sizes are shares of."""

    side: str
    by: str


class Difference(NamedTuple):
    """The paired difference `method - baseline` in a score."""

    audio: str
    method: str
    baseline: str
    score: str
    interval: Interval


class Check(NamedTuple):
    """One figure of a sanity check."""

    method: str
    test: str
    case: str
    measure: str
    order: int
    interval: Interval


class Timing(NamedTuple):
    """Seconds per window, and over those of `lmac`."""

    method: str
    seconds: float
    ratio: float
    windows: int


class Facts(BaseModel):
    """`evaluation.json`: what was evaluated and how; what it does not say is None or empty."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    explainer: str = "an explainer"
    explainer_digest: str | None = None
    classifier_digest: str | None = None
    input: str | None = None
    windows: int | None = None
    recordings: int | None = None
    seed: int | None = None
    accuracy: float | None = None
    p: float | None = None
    audio: list[str] = []
    methods: list[str] = []
    methods_left_out: dict[str, str] = {}
    versions: dict[str, Any] = {}
    date: str | None = None
    command: str | None = None
    config: dict[str, Any] = {}


@dataclass(frozen=True)
class Results:
    """The tables of an evaluation by audio and variant, in the order of `facts`; what was not measured is empty."""

    facts: Facts
    audio: list[str]
    summary: dict[str, dict[Variant, dict[str, Interval]]]
    points: dict[str, dict[Variant, dict[Size, dict[str, Interval]]]]
    areas: dict[str, dict[Variant, dict[Area, Interval]]]
    differences: list[Difference]
    sanity: list[Check]
    timing: list[Timing]
    localisation: pa.Table

    def p(self, audio: str) -> float | None:
        """Mean probability of the class explained on the whole input; None where it was not measured."""
        found = [scores["p"].value for scores in self.summary.get(audio, {}).values() if "p" in scores]
        return found[0] if found else None


def read_results(directory: Path) -> Results:
    """Read `evaluation.json` and the tables beside it; a missing table counts as an empty one.

    Raises FileNotFoundError when `directory` holds no evaluation, ValueError for a table that lacks a column.
    """
    record = directory / "evaluation.json"
    if not record.is_file():
        raise FileNotFoundError(f"{directory} holds no evaluation: {record.name} is missing; run `lmac evaluate` first")
    known = {key: value for key, value in json.loads(record.read_text("utf-8")).items() if value is not None}
    facts = Facts.model_validate(known)
    tables = {name: _read(directory, name) for name in TABLES if name not in ("scores", "curves")}
    rows = {name: table.to_pylist() for name, table in tables.items() if name != "localisation"}
    order = _order(facts.methods, (row["method"] for table in rows.values() for row in table))

    def variants(name: str, how: str) -> dict[str, dict[Variant, list[dict[str, Any]]]]:
        nested: dict[str, dict[Variant, list[dict[str, Any]]]] = {}
        ordered = sorted(rows[name], key=lambda row: order[row["method"]])
        counting = {} if how == "mask" else _counting(ordered)
        for row in ordered:
            called = counting[row["audio"], row["method"]] if row["best"] and counting else row[how]
            variant = Variant(row["method"], called, row["best"])
            nested.setdefault(row["audio"], {}).setdefault(variant, []).append(row)
        return nested

    summary = {
        audio: {variant: {row["score"]: _interval(row) for row in found} for variant, found in of_audio.items()}
        for audio, of_audio in variants("summary", "mask").items()
    }
    points = {
        audio: {variant: _by_size(found) for variant, found in of_audio.items()}
        for audio, of_audio in variants("points", "ranking").items()
    }
    areas = {
        audio: {
            variant: {Area(row["side"], row["by"]): _interval(row) for row in found}
            for variant, found in of_audio.items()
        }
        for audio, of_audio in variants("areas", "ranking").items()
    }
    differences = [
        Difference(row["audio"], row["method"], row["baseline"], row["score"], _interval(row))
        for row in sorted(rows["differences"], key=lambda row: order.get(row["baseline"], len(order)))
    ]
    return Results(
        facts=facts,
        audio=list(_order(facts.audio, [*summary, *points, *areas, *(row.audio for row in differences)])),
        summary=summary,
        points=points,
        areas=areas,
        differences=differences,
        sanity=[
            Check(row["method"], row["test"], row["case"], row["measure"], row["order"], _interval(row))
            for row in sorted(rows["sanity"], key=lambda row: (order[row["method"]], row["order"]))
        ],
        timing=[
            Timing(row["method"], row["seconds"], row["ratio"], row["windows"])
            for row in sorted(rows["timing"], key=lambda row: order[row["method"]])
        ],
        localisation=tables["localisation"],
    )


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


def _counting(rows: list[dict[str, Any]]) -> dict[tuple[str, str], str]:
    """The order that counts, or both, by audio and method."""
    found: dict[tuple[str, str], dict[str, None]] = {}
    for row in rows:
        if row["best"]:
            found.setdefault((row["audio"], row["method"]), {})[row["ranking"]] = None
    return {place: ", ".join(hows) for place, hows in found.items()}


def _order(first: list[str], others: Iterable[str]) -> dict[str, int]:
    return {name: place for place, name in enumerate(dict.fromkeys([*first, *others]))}


def _interval(row: dict[str, Any]) -> Interval:
    value, low, high = (math.nan if row[name] is None else row[name] for name in ("value", "low", "high"))
    return Interval(value, low, high, row["n"])


def _by_size(rows: list[dict[str, Any]]) -> dict[Size, dict[str, Interval]]:
    nested: dict[Size, dict[str, Interval]] = {}
    for row in sorted(rows, key=lambda row: (row["by"], row["budget"])):
        nested.setdefault(Size(row["by"], round(row["budget"], 6)), {})[row["score"]] = _interval(row)
    return nested
