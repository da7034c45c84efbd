"""Where the truth is known: which bins are the event's, and what it sounded like alone."""

from __future__ import annotations

import duckdb

from pipeline.evaluation.report.document import Cell, Folded, Section, Table
from pipeline.evaluation.report.glossary import spoken
from pipeline.evaluation.report.numerals import number
from pipeline.evaluation.report.read import Results
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
    "the mean."
)
_QUERY = """
    SELECT method, mask, count(*), avg(auroc) FILTER (NOT isnan(auroc)),
        avg(average_precision) FILTER (NOT isnan(average_precision)),
        median(gained), avg(gained) FILTER (isfinite(gained)), count(*) FILTER (gained = '-inf'::DOUBLE)
    FROM (SELECT *, si_sdr_masked_in - si_sdr_mixture AS gained FROM localisation)
    WHERE snr_db < ?
    GROUP BY method, mask
"""


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
        counts = [row for row in rows if row[0] not in known or (row[0], row[1]) in best]
        tables.append(_table(f"Against the truth: {title}", counts))
        if len(counts) < len(rows):
            tables.append(_table(f"Against the truth, all masks: {title}", rows))
    shown, folded = tables[:1], tables[1:]
    main = [table for table in folded if "all masks" not in table.caption]
    rest = [table for table in folded if "all masks" in table.caption]
    return Section("truth", "Where the truth is known", [*shown, *main, *([Folded("All masks", rest)] if rest else [])])


def _rows(results: Results, limit: float) -> list[tuple]:
    with duckdb.connect() as db:
        db.register("localisation", results.localisation)
        rows = db.execute(_QUERY, [limit]).fetchall()
    order = {method: place for place, method in enumerate(results.facts.methods)}
    return sorted(rows, key=lambda row: (order.get(row[0], len(order)), row[0], row[1]))


def _table(caption: str, rows: list[tuple]) -> Table:
    cells = [
        [
            Cell(spoken(method)),
            Cell(spoken(mask)),
            Cell(str(windows)),
            Cell(number(auroc)),
            Cell(number(precision)),
            Cell(number(median, 1)),
            Cell(number(mean, 1)),
            Cell(str(silent)),
        ]
        for method, mask, windows, auroc, precision, median, mean, silent in rows
    ]
    return Table(caption, COLUMNS, cells, headings=2, note=NOTE)
