"""Tables of everything but equal size: soft masks, paired differences, known truth, sanity checks and speed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.evaluation.bootstrap import Bootstrap
from pipeline.evaluation.names import printed
from pipeline.evaluation.report.cells import MISSING, Cell, Table, figures, measured, number, signed, span
from pipeline.evaluation.report.glossary import GLOSSARY, score
from pipeline.evaluation.report.results import Interval, Results, Row, Variant, counted

# Below this the event no longer stands out of the background, in dB.
FAINT_DB = 5.0
TRUTH_NOTE = (
    "AUROC and average precision of the relevance for the bins that are the event's in the ideal ratio mask. SI-SDR of "
    "the listenable over that of the input; a silent listenable counts as the worst in the median, and is left out of "
    "the mean. In small 95% intervals of the means, by bootstrap over recordings."
)


def soft_masks_table(
    results: Results, audio: str, variants: list[Variant], names: Sequence[str], caption: str
) -> Table:
    """Scores of soft masks, a row for each variant; what was measured for none of them is left out."""
    means = results.summary[audio]
    names = [name for name in names if any((name,) in means[variant] for variant in variants)]
    several = len(variants) > len(counted(variants))
    rows = [
        [
            Cell(printed(variant.method)),
            Cell(printed(variant.how), "counts" if variant.best and several else ""),
            *(measured(means[variant].get((name,)), score(name).digits) for name in names),
        ]
        for variant in variants
    ]
    return Table(caption, ["method", "mask", *(score(name).heading for name in names)], rows, headings=2)


def differences_table(rows: list[Row], what: str) -> Table:
    """Paired differences, a row for each pair of methods and a column for each score."""
    names = list(dict.fromkeys(row["score"] for row in rows))
    pairs: dict[tuple[str, str], dict[str, Cell]] = {}
    for row in rows:
        (value, low, high, _), digits = row["interval"], score(row["score"]).digits
        cell = Cell(signed(value, digits), span(low, high, digits))
        pairs.setdefault((row["method"], row["baseline"]), {})[row["score"]] = cell
    return Table(
        f"Paired differences: {what}, mean (95% interval)",
        ["difference", *(score(name).heading for name in names)],
        [
            [Cell(f"{printed(method)} - {printed(baseline)}"), *(found.get(name, Cell(MISSING)) for name in names)]
            for (method, baseline), found in pairs.items()
        ],
    )


def truth_tables(results: Results) -> tuple[list[Table], list[Table]]:
    """Localisation and separation by method, over all windows and over faint events: masks that count, all masks."""
    first = next(iter(results.audio), "")
    best = {(variant.method, variant.how) for variant in counted(results.summary.get(first, {}))}
    known = {method for method, _ in best}
    counting, every = [], []
    for title, limit in (("all events", float("inf")), (f"events below {FAINT_DB:g} dB SNR", FAINT_DB)):
        table = results.localisation
        table = table.filter(pc.less(table["snr_db"], limit))
        pairs = sorted(
            set(zip(table["method"].to_pylist(), table["mask"].to_pylist(), strict=True)),
            key=lambda pair: (_place(pair[0], results), *pair),
        )
        rows = {
            (method, mask): _truth_row(
                method, mask, table.filter(pc.and_(pc.equal(table["method"], method), pc.equal(table["mask"], mask)))
            )
            for method, mask in pairs
        }
        count = [row for pair, row in rows.items() if pair[0] not in known or pair in best]
        columns = [
            "method", "mask", "windows", score("auroc").heading, score("average_precision").heading,
            "SI-SDR gained, median, dB\u00a0↑", "SI-SDR gained, mean, dB\u00a0↑", "silent",
        ]  # fmt: skip
        if count:
            counting.append(Table(f"Against the truth: {title}", columns, count, 2, TRUTH_NOTE))
        if len(count) < len(rows):
            caption = f"Against the truth, all masks: {title}"
            every.append(Table(caption, columns, list(rows.values()), 2, TRUTH_NOTE))
    return counting, every


def sanity_table(title: str, checks: list[Row]) -> Table:
    """A row for each case, a column for each method and measure."""
    columns = list(dict.fromkeys((check["method"], check["measure"]) for check in checks))
    by_case: dict[str, dict[tuple[str, str], Interval]] = {}
    for check in sorted(checks, key=lambda check: int(check["order"])):
        by_case.setdefault(check["case"], {})[check["method"], check["measure"]] = check["interval"]
    rows = [
        [Cell(printed(case)), *(measured(found.get(column), 3) for column in columns)]
        for case, found in by_case.items()
    ]
    headings = [f"{printed(method)}: {printed(measure)}" for method, measure in columns]
    return Table(f"{title} Mean (95% interval)", ["case", *headings], rows)


def speed_table(results: Results) -> Table:
    """Seconds per window by method."""
    rows = [
        [
            Cell(printed(row["method"])),
            Cell(figures(row["seconds"])),
            Cell(f"{figures(row['ratio'], 2)}x"),
            Cell(str(row["windows"])),
        ]
        for row in results.timing
    ]
    return Table(
        "What a window costs",
        ["method", "seconds per window", "over lmac", "windows timed"],
        rows,
        note="From the linear magnitude to the relevance, the classifier's own pass included; all in one process.",
    )


def facts_table(results: Results) -> Table:
    """What was evaluated, with what."""
    facts = results.facts
    known = {
        "explainer": facts["explainer"],
        "digest of the explainer": facts["explainer_digest"],
        "digest of the classifier": facts["classifier_digest"],
        **{name: facts[name] for name in ("input", "seed", "date")},
        **{f"version of {name}": version for name, version in (facts["versions"] or {}).items()},
    }
    rows = [[Cell(name), Cell(str(value))] for name, value in known.items() if value is not None]
    return Table("What was evaluated, with what", ["", "value"], rows)


def glossary_table() -> Table:
    """What the scores mean."""
    return Table(
        "Glossary",
        ["score", "better", "unit", "meaning"],
        [[Cell(one.name), Cell(one.better or "neither"), Cell(one.unit), Cell(one.meaning)] for one in GLOSSARY],
        note="The label is the class explained: the classifier's own decision. The mean of a score that is 1 or 0 is a "
        "share of windows. Intervals are 95% percentile intervals of a bootstrap over recordings. A score `written` is "
        "that of the listenable waveform, classified again: a masked spectrogram is not the spectrogram of any signal, "
        "and nobody hears it. A baseline counts with the mask and the order that serve it best.",
    )


def _place(method: str, results: Results) -> int:
    methods = results.facts["methods"] or []
    return methods.index(method) if method in methods else len(methods)


def _truth_row(method: str, mask: str, table: pa.Table) -> list[Cell]:
    keys = np.asarray(table["key"].to_pylist())
    gained = table["si_sdr_masked_in"].to_numpy() - table["si_sdr_mixture"].to_numpy()
    return [
        Cell(printed(method)),
        Cell(printed(mask)),
        Cell(str(len(table))),
        *(measured(_mean(table[name].to_numpy(), keys), 3) for name in ("auroc", "average_precision")),
        Cell(number(float(np.median(gained)), 1)),
        measured(_mean(gained, keys), 1),
        Cell(str(int((gained == -np.inf).sum()))),
    ]


def _mean(values: np.ndarray, keys: np.ndarray) -> Interval | None:
    finite = np.isfinite(values.astype(np.float64))
    if not finite.any():
        return None
    found = Bootstrap(keys[finite]).interval(values[finite])
    return Interval(float(found.value[0]), float(found.low[0]), float(found.high[0]), found.n)
