"""The ranking that counts: every method at equal size."""

from __future__ import annotations

from pipeline.evaluation.contenders import IDEAL, OWN, is_own
from pipeline.evaluation.report.document import Block, Cell, Folded, Heading, Picture, Prose, Section, Table, measured
from pipeline.evaluation.report.glossary import AREAS, score
from pipeline.evaluation.report.numerals import number, percent, size
from pipeline.evaluation.report.plots.canvas import Palette
from pipeline.evaluation.report.plots.curves import curves, front
from pipeline.evaluation.report.read import Interval, Results, Size, Variant
from pipeline.evaluation.report.sections.rows import rows_table
from pipeline.evaluation.report.standing import best, called, counted, is_baseline, overall, ranked
from pipeline.evaluation.report.verdict import AREA_ORDER, SIZES

SCORES = ("ad", "ff", "fid_in")
BEST_BASELINE = " †"
# What everybody can do without a method, and what says how much of a figure is size alone.
SHOWN = ("energy", "random", "constant")
EXPLAINED = (
    "Every method puts the bins of a window in order, and a binary mask keeps the first of them, up to a share of the "
    "bins or of the energy. So no method gains by a larger mask. A method may still buy energy with bins, by keeping "
    "many quiet ones, or bins with energy: both shares stand beside every figure. For a budget of energy every "
    "method may also put the bins in the order of what they give for their energy. Of a baseline the order counts that "
    "serves it best on this very audio; of a decoder one that is fixed for each kind of budget. "
    "Random and constant orders are controls: they are shown, but are nobody's baselines. Per energy the constant one "
    "keeps the quietest bins first, nearly all of them: what a budget of energy alone rewards."
)


def sizes(results: Results, palette: Palette) -> Section | None:
    """Curves, areas and scores at equal size, by audio; None where no method was measured so."""
    blocks: list[Block] = []
    for place, audio in enumerate(results.audio, start=1):
        if results.points.get(audio) or results.areas.get(audio):
            blocks += [Heading(audio), *_audio(results, audio, place, palette)]
    return Section("sizes", "Curves at equal size", [Prose(EXPLAINED), *blocks]) if blocks else None


def areas_table(results: Results, audio: str) -> Table:
    """Insertion and deletion areas of every method, best first, with the best of each column strong."""
    areas = results.areas[audio]
    order = [variant for variant in ranked(results, audio) if variant in areas]
    top = {
        area: best(
            {variant: areas[variant][area] for variant in order if area in areas[variant] and variant.method != IDEAL},
            AREAS[area.side].better == "higher",
        )
        for area in AREA_ORDER
    }
    rows = [
        [
            Cell(called(variant, order)),
            *(measured(areas[variant].get(area), 3, strong=top[area] == variant) for area in AREA_ORDER),
            Cell(number(overall(areas[variant]))),
        ]
        for variant in order
    ]
    columns = [f"{AREAS[area.side].heading} by {area.by}" for area in AREA_ORDER]
    return Table(
        caption=f"Areas under the curves on {audio}, mean (95% interval)",
        columns=["method", *columns, "insertion - deletion ↑"],
        rows=rows,
        note="Best first. Strong: the best value of a column. Insertion is the mean of p_in over the logarithm of the "
        "share kept, from 1% to 50%; deletion is that of p_out.",
    )


def sizes_table(results: Results, audio: str) -> Table:
    """AD, FF and Fid-In at `SIZES` for `lmac`, the baselines that are best in any of them, and energy."""
    points = {variant: results.points[audio][variant] for variant in counted(results.points[audio])}
    rows: list[list[Cell]] = []
    for at in SIZES:
        here = {variant: sizes[at] for variant, sizes in points.items() if at in sizes}
        winners = _winners(here, baselines_only=True)
        leaders = _winners({variant: scores for variant, scores in here.items() if variant.method != IDEAL})
        for variant in here:
            if is_own(variant.method) or variant in winners.values() or variant.method in SHOWN:
                rows.append(_row(at, variant, here, winners, leaders))
    return Table(
        caption=f"At equal size on {audio}: binary masks of the first bins, mean (95% interval)",
        columns=["kept", "method", "bins kept", "energy kept", *(score(name).heading for name in SCORES)],
        rows=rows,
        headings=2,
        note=f"{OWN}, every baseline that is best in a figure (†), energy, which keeps the loudest bins, and controls. "
        "Strong: the best of all methods. Each is in the order that counts for its areas; the table of rows takes the "
        "best of all orders.",
    )


def _audio(results: Results, audio: str, place: int, palette: Palette) -> list[Block]:
    blocks: list[Block] = []
    if results.points.get(audio):
        blocks.append(
            Picture(
                f"curves-{place}",
                curves(results, audio, palette),
                f"Four panels of curves on {audio}: p_in and p_out against the share of bins and of energy kept, a "
                "line for each method. The areas and figures are in the tables below.",
                f"{audio}: p_in (above) and p_out (below) against the share kept; bands are 95% intervals.",
            )
        )
    if rows := rows_table(results, audio):
        blocks.append(rows)
    if results.areas.get(audio):
        blocks.append(areas_table(results, audio))
    if results.points.get(audio):
        blocks += [
            sizes_table(results, audio),
            Picture(
                f"front-{place}",
                front(results, audio, palette),
                f"Three panels on {audio}: energy kept against bins kept for each method, and p_in minus p_out against "
                "the share of bins and of energy. The figures are in the table of all sizes.",
                f"{audio}: a line that runs low on the left buys energy with many quiet bins, one that runs high keeps "
                "what is loud.",
            ),
            Folded(f"All methods at all sizes on {audio}", [_everything(results, audio)]),
        ]
    return blocks


def _everything(results: Results, audio: str) -> Table:
    points = results.points[audio]
    names = ("p_in", "p_out", *SCORES)
    stops = sorted({at for sizes in points.values() for at in sizes})
    rows = [
        [
            Cell(f"{size(at.budget)} of {at.by}"),
            Cell(called(variant, points)),
            *_shares(points[variant][at]),
            *(measured(points[variant][at].get(name), score(name).digits) for name in names),
        ]
        for at in stops
        for variant in points
        if at in points[variant]
    ]
    return Table(
        caption=f"All methods and orders at all sizes on {audio}",
        columns=["kept", "method", "bins kept", "energy kept", *(score(name).heading for name in names)],
        rows=rows,
        headings=2,
    )


def _row(
    at: Size,
    variant: Variant,
    here: dict[Variant, dict[str, Interval]],
    winners: dict[str, Variant | None],
    leaders: dict[str, Variant | None],
) -> list[Cell]:
    cells = [Cell(f"{size(at.budget)} of {at.by}"), Cell(called(variant, here)), *_shares(here[variant])]
    for name in SCORES:
        interval = here[variant].get(name)
        mark = BEST_BASELINE if winners[name] == variant else ""
        cells.append(measured(interval, score(name).digits, leaders[name] == variant, mark))
    return cells


def _winners(here: dict[Variant, dict[str, Interval]], baselines_only: bool = False) -> dict[str, Variant | None]:
    taking_part = {
        variant: scores for variant, scores in here.items() if not baselines_only or is_baseline(variant.method)
    }
    return {
        name: best(
            {variant: scores[name] for variant, scores in taking_part.items() if name in scores},
            score(name).better == "higher",
        )
        for name in SCORES
    }


def _shares(scores: dict[str, Interval]) -> list[Cell]:
    shares = [scores.get(name) for name in ("bins_kept", "energy_kept")]
    return [Cell(percent(share.value if share else None)) for share in shares]
