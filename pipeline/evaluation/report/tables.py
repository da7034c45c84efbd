"""All tables but those at equal size: soft masks, paired differences, known truth, sanity checks and speed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.evaluation.bootstrap import Bootstrap
from pipeline.evaluation.names import printed
from pipeline.evaluation.report.cells import MISSING, Cell, Table, figures, measured, number, signed, span
from pipeline.evaluation.report.glossary import GLOSSARY, score
from pipeline.evaluation.report.results import Interval, Results, Row, counted
from pipeline.evaluation.report.verdict import SIZES

SCORES = (
    "mask_mean", "energy_kept", "ai", "ai_001", "ad", "ag", "ff", "fid_in", "keep", "sps", "comp",
    "ad_audio", "ff_audio", "fid_in_audio",
)  # fmt: skip
PUBLISHED = ("ad_double_softmax", "ad_double_softmax_audio")
# Below this the event no longer stands out of the background, in dB.
FAINT_DB = 5.0


def soft_masks_table(
    results: Results, audio: str, caption: str, names: Sequence[str] = SCORES, every: bool = False
) -> Table:
    """Tabulate scores of the masks that count, or of `every` mask; scores measured for none of them are left out."""
    means = results.summary[audio]
    counting = counted(means)
    variants = list(means) if every else counting
    names = [name for name in names if any((name,) in means[variant] for variant in variants)]
    rows = [
        [
            printed(variant.method),
            Cell(printed(variant.how), "counts" if variant.best and len(variants) > len(counting) else ""),
            *(measured(means[variant].get((name,)), score(name).digits) for name in names),
        ]
        for variant in variants
    ]
    return Table(caption, ["method", "mask", *(score(name).heading for name in names)], rows, headings=2)


def differences_tables(rows: list[Row], audio: str) -> dict[str, Table]:
    """Tabulate paired differences by score: AD and FF at equal size, and all other scores."""
    tables = {}
    for name in ("ad", "ff"):
        sized = {f"{name} at {100 * budget:g}% of {by}" for by, budget in SIZES}
        if found := [row for row in rows if row["score"] in sized]:
            what = f"{score(name).name} at equal size on {audio}"
            tables[f"Paired differences in {what}"] = _differences(found, what)
    rest = [row for row in rows if " at " not in row["score"]]
    return {**tables, f"All paired differences on {audio}": _differences(rest, audio)}


def truth_tables(results: Results) -> tuple[list[Table], list[Table]]:
    """Tabulate localisation and separation over all windows and over faint events: for counted masks, and for all."""
    counting = counted(results.summary.get(next(iter(results.audio), ""), {}))
    known = {variant.method for variant in counting}
    best = {(variant.method, variant.how) for variant in counting}
    columns = [
        "method", "mask", "windows", score("auroc").heading, score("average_precision").heading,
        "SI-SDR gained, median, dB\u00a0↑", "SI-SDR gained, mean, dB\u00a0↑", "silent",
    ]  # fmt: skip
    methods = results.facts["methods"] or []
    tables: tuple[list[Table], list[Table]] = ([], [])
    for title, limit in (("all events", float("inf")), (f"events below {FAINT_DB:g} dB SNR", FAINT_DB)):
        table = results.localisation.filter(pc.less(results.localisation["snr_db"], limit))
        pairs = sorted(set(zip(table["method"].to_pylist(), table["mask"].to_pylist(), strict=True)))
        pairs.sort(key=lambda pair: methods.index(pair[0]) if pair[0] in methods else len(methods))
        count = [pair for pair in pairs if pair in best or pair[0] not in known]
        if count:
            rows = [_truth_row(table, *pair) for pair in count]
            tables[0].append(Table(f"Against the truth: {title}", columns, rows, 2))
        if len(count) < len(pairs):
            rows = [_truth_row(table, *pair) for pair in pairs]
            tables[1].append(Table(f"Against the truth, all masks: {title}", columns, rows, 2))
    return tables


def sanity_table(title: str, checks: list[Row]) -> Table:
    """Tabulate sanity checks: a row for each case, a column for each method and measure."""
    columns = list(dict.fromkeys((check["method"], check["measure"]) for check in checks))
    by_case: dict[str, dict[tuple[str, str], Interval]] = {}
    for check in sorted(checks, key=lambda check: int(check["order"])):
        by_case.setdefault(check["case"], {})[check["method"], check["measure"]] = check["interval"]
    rows = [[printed(case), *(measured(found.get(one), 3) for one in columns)] for case, found in by_case.items()]
    headings = [f"{printed(method)}: {printed(measure)}" for method, measure in columns]
    return Table(f"{title} Mean (95% interval)", ["case", *headings], rows)


def speed_table(results: Results) -> Table:
    """Tabulate seconds per window by method."""
    rows = [
        [printed(row["method"]), figures(row["seconds"]), f"{figures(row['ratio'], 2)}x", str(row["windows"])]
        for row in results.timing
    ]
    columns = ["method", "seconds per window", "relative to lmac", "windows timed"]
    return Table("Time per window", columns, rows)


def facts_table(results: Results) -> Table:
    """Tabulate what was evaluated, and with what."""
    facts = results.facts
    known = {
        "explainer": facts["explainer"] or "an explainer",
        "digest of the explainer": facts["explainer_digest"],
        "digest of the classifier": facts["classifier_digest"],
        **{name: facts[name] for name in ("input", "seed", "date")},
        **{f"version of {name}": version for name, version in (facts["versions"] or {}).items()},
    }
    rows = [[name, str(value)] for name, value in known.items() if value is not None]
    return Table("What was evaluated, with what", ["", "value"], rows)


def glossary_table() -> Table:
    """Tabulate the meaning of the scores."""
    rows = [[one.name, one.better or "neither", one.unit, one.meaning] for one in GLOSSARY]
    return Table("Glossary", ["score", "better", "unit", "meaning"], rows)


def _differences(rows: list[Row], what: str) -> Table:
    names = list(dict.fromkeys(row["score"] for row in rows))
    pairs: dict[str, dict[str, Cell]] = {}
    for row in rows:
        (value, low, high, _), digits = row["interval"], score(row["score"]).digits
        pair = f"{printed(row['method'])} - {printed(row['baseline'])}"
        pairs.setdefault(pair, {})[row["score"]] = Cell(signed(value, digits), span(low, high, digits))
    cells = [[pair, *(found.get(name, MISSING) for name in names)] for pair, found in pairs.items()]
    columns = ["difference", *(score(name).heading for name in names)]
    return Table(f"Paired differences: {what}, mean (95% interval)", columns, cells)


def _truth_row(table: pa.Table, method: str, mask: str) -> list[Any]:
    table = table.filter(pc.and_(pc.equal(table["method"], method), pc.equal(table["mask"], mask)))
    keys = np.asarray(table["key"].to_pylist())
    gained = table["si_sdr_masked_in"].to_numpy() - table["si_sdr_mixture"].to_numpy()
    return [
        printed(method),
        printed(mask),
        str(len(table)),
        *(measured(_mean(table[name].to_numpy(), keys), 3) for name in ("auroc", "average_precision")),
        number(float(np.median(gained)), 1),
        measured(_mean(gained, keys), 1),
        str(int((gained == -np.inf).sum())),
    ]


def _mean(values: np.ndarray, keys: np.ndarray) -> Interval | None:
    finite = np.isfinite(values.astype(np.float64))
    if not finite.any():
        return None
    found = Bootstrap(keys[finite]).interval(values[finite])
    return Interval(float(found.value[0]), float(found.low[0]), float(found.high[0]), found.n)
