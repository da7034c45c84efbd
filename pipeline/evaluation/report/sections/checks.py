"""Sanity checks, and what an explanation costs."""

from __future__ import annotations

from pipeline.evaluation.report.document import Block, Cell, Heading, Picture, Prose, Section, Table, measured
from pipeline.evaluation.report.glossary import spoken
from pipeline.evaluation.report.numerals import figures
from pipeline.evaluation.report.plots.canvas import Palette
from pipeline.evaluation.report.plots.sanity import bars, randomisation
from pipeline.evaluation.report.read import Check, Results

TESTS = {
    "randomisation": (
        "Does the mask depend on what the classifier has learnt?",
        "The classifier's layers are randomised from the top, one more at a time. A mask that hardly changes explains "
        "the sound, not the classifier: with all layers random its rank correlation with the original should be below "
        "0.2. Masks are compared as means over 4 x 4 bins that the classifier hears, orders bin by bin.",
    ),
    "stability": (
        "Is the mask stable?",
        "Overlap (intersection over union) of the tenth of the bins that comes first, before and after a change that "
        "leaves the sound the same. Under faint noise it should be at least 0.8.",
    ),
    "masked_out": (
        "Is what the mask removes still recognised?",
        "Share of windows whose masked-out input keeps its class, beside chance.",
    ),
}


def sanity(results: Results, palette: Palette) -> Section | None:
    """A plot and a table for each test; None where none was made."""
    blocks: list[Block] = []
    for test in dict.fromkeys([*TESTS, *(check.test for check in results.sanity)]):
        checks = [check for check in results.sanity if check.test == test]
        if not checks:
            continue
        title, explained = TESTS.get(test, (spoken(test), ""))
        plot = randomisation(checks, palette) if test == "randomisation" else bars(checks, palette, title)
        blocks += [
            Heading(title),
            *([Prose(explained)] if explained else []),
            Picture(
                f"sanity-{''.join(letter if letter.isalnum() else '-' for letter in test)}",
                plot,
                f"{title} A plot of the figures in the table below.",
                "Dashed: the limit. Bands and whiskers are 95% intervals.",
            ),
            _table(title, checks),
        ]
    return Section("sanity", "Sanity checks", blocks) if blocks else None


def speed(results: Results) -> Section | None:
    """Seconds per window by method; None where nothing was timed."""
    if not results.timing:
        return None
    rows = [
        [
            Cell(spoken(row.method)),
            Cell(figures(row.seconds)),
            Cell(f"{figures(row.ratio, 2)}x"),
            Cell(str(row.windows)),
        ]
        for row in results.timing
    ]
    table = Table(
        caption="What a window costs",
        columns=["method", "seconds per window", "over lmac", "windows timed"],
        rows=rows,
        note="From the linear magnitude to the relevance, the classifier's own pass included; all in one process.",
    )
    return Section("speed", "Speed", [table])


def _table(caption: str, checks: list[Check]) -> Table:
    columns = list(dict.fromkeys((check.method, check.measure) for check in checks))
    by_case: dict[str, dict[tuple[str, str], Check]] = {}
    for check in sorted(checks, key=lambda check: check.order):
        by_case.setdefault(check.case, {})[check.method, check.measure] = check
    rows = [
        [Cell(spoken(case)), *(measured(found[key].interval if key in found else None, 3) for key in columns)]
        for case, found in by_case.items()
    ]
    headings = [f"{spoken(method)}: {spoken(measure)}" for method, measure in columns]
    return Table(f"{caption} Mean (95% interval)", ["case", *headings], rows)
