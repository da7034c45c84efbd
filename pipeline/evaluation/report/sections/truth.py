"""Where the truth is known: which bins are the event's, and what it sounded like alone."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pyarrow.compute as pc

from pipeline.evaluation.bootstrap import Bootstrap
from pipeline.evaluation.report.document import Cell, Folded, Section, Table, measured
from pipeline.evaluation.report.glossary import spoken
from pipeline.evaluation.report.numerals import number
from pipeline.evaluation.report.read import Interval, Results
from pipeline.evaluation.report.standing import counted

# Below this the event no longer stands out of the background, in dB.
FAINT_DB = 5.0
COLUMNS = (
    "method", "mask", "windows", "AUROC\u00a0↑", "average precision\u00a0↑", "SI-SDR gained, median, dB\u00a0↑",
    "SI-SDR gained, mean, dB\u00a0↑", "silent",
)  # fmt: skip
NOTE = (
    "AUROC and average precision of the relevance for the bins that are the event's in the ideal ratio mask. SI-SDR of "
    "the listenable over that of the input; a silent listenable counts as the worst in the median, and is left out of "
    "the mean. In small 95% intervals of the means, by bootstrap over recordings."
)


class _Row(NamedTuple):
    method: str
    mask: str
    windows: int
    auroc: Interval | None
    precision: Interval | None
    median: float
    gained: Interval | None
    silent: int


def truth(results: Results) -> Section | None:
    """Localisation and separation by method, over all windows and over faint events; None where no truth is known."""
    if not results.localisation.num_rows:
        return None
    best = {
        (variant.method, variant.how)
        for summary in [results.summary.get(audio, {}) for audio in results.audio[:1]]
        for variant in counted(summary)
    }
    tables = []
    for title, limit in (("all events", float("inf")), (f"events below {FAINT_DB:g} dB SNR", FAINT_DB)):
        rows = _rows(results, limit)
        if not rows:
            continue
        known = {method for method, _ in best}
        counts = [row for row in rows if row.method not in known or (row.method, row.mask) in best]
        tables.append(_table(f"Against the truth: {title}", counts))
        if len(counts) < len(rows):
            tables.append(_table(f"Against the truth, all masks: {title}", rows))
    shown, folded = tables[:1], tables[1:]
    main = [table for table in folded if "all masks" not in table.caption]
    rest = [table for table in folded if "all masks" in table.caption]
    return Section("truth", "Where the truth is known", [*shown, *main, *([Folded("All masks", rest)] if rest else [])])


def _rows(results: Results, limit: float) -> list[_Row]:
    table = results.localisation
    table = table.filter(pc.less(table["snr_db"], limit))
    found = []
    for method, mask in dict.fromkeys(zip(table["method"].to_pylist(), table["mask"].to_pylist(), strict=True)):
        of = table.filter(pc.and_(pc.equal(table["method"], method), pc.equal(table["mask"], mask)))
        keys = np.asarray(of["key"].to_pylist())
        gained = of["si_sdr_masked_in"].to_numpy() - of["si_sdr_mixture"].to_numpy()
        auroc, precision = (_interval(of[name].to_numpy(), keys) for name in ("auroc", "average_precision"))
        silent = int((gained == -np.inf).sum())
        middle = float(np.median(gained))
        found.append(_Row(method, mask, len(of), auroc, precision, middle, _interval(gained, keys), silent))
    order = {method: place for place, method in enumerate(results.facts.methods)}
    return sorted(found, key=lambda row: (order.get(row.method, len(order)), row.method, row.mask))


def _interval(values: np.ndarray, keys: np.ndarray) -> Interval | None:
    told = np.isfinite(values.astype(np.float64))
    if not told.any():
        return None
    found = Bootstrap(keys[told]).interval(values[told])
    return Interval(float(found.value[0]), float(found.low[0]), float(found.high[0]), found.n)


def _table(caption: str, rows: list[_Row]) -> Table:
    cells = [
        [
            Cell(spoken(row.method)),
            Cell(spoken(row.mask)),
            Cell(str(row.windows)),
            measured(row.auroc, 3),
            measured(row.precision, 3),
            Cell(number(row.median, 1)),
            measured(row.gained, 1),
            Cell(str(row.silent)),
        ]
        for row in rows
    ]
    return Table(caption, COLUMNS, cells, headings=2, note=NOTE)
