"""The explainer beside the best of all baselines, size by size: the table that a verdict is made of."""

from __future__ import annotations

from pipeline.evaluation.contenders import OWN, is_own
from pipeline.evaluation.report.document import Cell, Table
from pipeline.evaluation.report.glossary import score, spoken
from pipeline.evaluation.report.numerals import number, percent, size
from pipeline.evaluation.report.read import Interval, Results
from pipeline.evaluation.report.standing import best, counted, is_baseline
from pipeline.evaluation.report.verdict import SIZES

Scores = dict[str, Interval]
FIGURES = ("ad", "ff", "fid_in")
QUIETEST, CONTROL = ("constant", "signed_per_energy"), "quietest first"


def rows_table(results: Results, audio: str) -> Table | None:
    """AD, FF, Fid-In at `SIZES`: the explainer, the baselines of best AD and of best FF, the quietest
    bins first; None where no baseline was measured."""
    points = results.points.get(audio, {})
    own = [variant for variant in counted(points) if is_own(variant.method)]
    baselines = [variant for variant in points if is_baseline(variant.method)]
    quiet = next((v for v in points if (v.method, v.how.split(", ")[-1]) == QUIETEST), None)
    if not own or not baselines:
        return None
    rows = []
    for at in SIZES:
        measured = {variant: points[variant][at] for variant in baselines if at in points[variant]}
        if not measured:
            continue
        leading = [
            best({v: found[name] for v, found in measured.items() if name in found}, score(name).better == "higher")
            for name in ("ad", "ff")
        ]
        rows.append(
            [
                Cell(f"{size(at.budget)} of {at.by}"),
                *(_cell(points[variant].get(at)) for variant in own),
                *(_cell(points[v][at], f"{spoken(v.method)}: ") if v else Cell(number(None)) for v in leading),
                *([_cell(points[quiet].get(at)) if at.by == "energy" else Cell("")] if quiet else []),
            ]
        )
    measured_methods = {variant.method for variant in baselines}
    names = " / ".join(score(name).name for name in FIGURES)
    return Table(
        caption=f"{OWN} and the best of {len(measured_methods)} baselines, row by row, on {audio}: {names}",
        columns=[
            "kept",
            *(spoken(v.method) for v in own),
            "best AD of a baseline",
            "best FF of a baseline",
            *(["quietest first"] if quiet else []),
        ],
        rows=rows,
        note=(
            "Binary masks of the first bins; in small the shares of bins and of energy that they keep. The baseline is "
            "taken anew in each row and for each figure, in whichever of its orders serves it best there; of "
            f"{OWN} its one order for each kind of budget."
        )
        + (
            " To keep the quietest bins first is a control for budgets of energy: it explains nothing, and keeps "
            "nearly all bins."
            if quiet
            else ""
        ),
    )


def _cell(scores: Scores | None, name: str = "") -> Cell:
    if scores is None:
        return Cell(number(None))
    figures = " / ".join(number(scores[one].value if one in scores else None, score(one).digits) for one in FIGURES)
    shares = [percent(scores[one].value if one in scores else None, 0) for one in ("bins_kept", "energy_kept")]
    return Cell(name + figures, f"{shares[0]} of bins, {shares[1]} of energy")
