"""Paired differences on the same recordings."""

from __future__ import annotations

from pipeline.evaluation.contenders import OWN
from pipeline.evaluation.report.document import Block, Cell, Folded, Heading, Picture, Prose, Section, Table, difference
from pipeline.evaluation.report.glossary import score, spoken
from pipeline.evaluation.report.plots.differences import forest
from pipeline.evaluation.report.read import Difference, Results
from pipeline.evaluation.report.verdict import SIZES

EXPLAINED = (
    "What all methods share, recordings that are easy or hard, falls out of a difference on the same recordings; so it"
    " can be clear where intervals of the means overlap. An interval that leaves out 0 is a difference."
)


def paired(results: Results) -> Section | None:
    """A forest plot and a table by audio; None where there are no differences."""
    blocks: list[Block] = []
    for place, audio in enumerate(results.audio, start=1):
        rows = [row for row in results.differences if row.audio == audio]
        if not rows:
            continue
        blocks.append(Heading(audio))
        if picture := forest([row for row in rows if row.method == OWN], audio):
            blocks.append(
                Picture(
                    f"differences-{place}",
                    picture,
                    f"Forest plot on {audio}: {OWN} minus each baseline in the main scores, with 95% intervals. The "
                    "figures are in the table below.",
                    f"{audio}: {OWN} minus each baseline. In colour: the whole interval is on the better side; black:"
                    " on the worse; hollow: it holds 0.",
                )
            )
        sized = {f"{name} at {100 * at.budget:g}% of {at.by}": name for name in ("ad", "ff") for at in SIZES}
        for name in ("ad", "ff"):
            if there := [row for row in rows if sized.get(row.score) == name]:
                what = f"{score(name).name} at equal size on {audio}"
                blocks.append(Folded(f"Paired differences in {what}", [_table(there, what)]))
        rest = [row for row in rows if " at " not in row.score]
        blocks.append(Folded(f"All paired differences on {audio}", [_table(rest, audio)]))
    return Section("differences", "Paired differences", [Prose(EXPLAINED), *blocks]) if blocks else None


def _table(rows: list[Difference], audio: str) -> Table:
    names = list(dict.fromkeys(row.score for row in rows))
    pairs: dict[tuple[str, str], dict[str, Difference]] = {}
    for row in rows:
        pairs.setdefault((row.method, row.baseline), {})[row.score] = row
    return Table(
        caption=f"Paired differences: {audio}, mean (95% interval)",
        columns=["difference", *(score(name).heading for name in names)],
        rows=[
            [
                Cell(f"{spoken(method)} - {spoken(baseline)}"),
                *(
                    difference(found[name].interval, score(name).digits) if name in found else Cell("n/a")
                    for name in names
                ),
            ]
            for (method, baseline), found in pairs.items()
        ],
    )
