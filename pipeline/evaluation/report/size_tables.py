"""Tables of methods at equal size: masks of the first bins, and the areas under their curves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.evaluation.methods import IDEAL, OWN, is_own
from pipeline.evaluation.names import printed
from pipeline.evaluation.report.cells import MISSING, Cell, Table, measured, number, percent, size
from pipeline.evaluation.report.glossary import score
from pipeline.evaluation.report.results import (
    Interval,
    Key,
    Means,
    Results,
    Variant,
    best,
    counted,
    is_baseline,
    mean_gap,
    ranked,
    variant_name,
)
from pipeline.evaluation.report.verdict import AREAS, SIZES

SCORES = ("ad", "ff", "fid_in")
BEST_BASELINE = " †"
# Rankings that need no method and show how much of a figure is due to size alone.
ALWAYS_SHOWN = ("energy", "random", "constant")
QUIETEST_FIRST = ("constant", "signed_per_energy")


def best_baselines_table(results: Results, audio: str) -> Table | None:
    """Tabulate AD, FF, Fid-In at `SIZES`: the explainer, the baselines of best AD and of best FF, quietest bins first.

    Returns None if no baseline was measured.
    """
    points = results.points.get(audio, {})
    own = [variant for variant in counted(points) if is_own(variant.method)]
    baselines = {variant: means for variant, means in points.items() if is_baseline(variant.method)}
    quiet = [v for v in points if (v.method, v.how.split(", ")[-1]) == QUIETEST_FIRST][:1]
    if not own or not baselines:
        return None
    rows = []
    for by, budget in SIZES:
        if not any((by, budget, name) in means for means in baselines.values() for name in SCORES):
            continue
        row: list[Any] = [
            f"{size(budget)} of {by}",
            *(_all_scores(points[variant], by, budget) for variant in own),
        ]
        for name in ("ad", "ff"):
            leader = best(baselines, (by, budget, name), score(name).higher)
            label = f"{printed(leader.method)}: " if leader else ""
            row.append(_all_scores(baselines[leader] if leader else {}, by, budget, label))
        row += [_all_scores(points[variant], by, budget) if by == "energy" else "" for variant in quiet]
        rows.append(row)
    columns = ["best AD of a baseline", "best FF of a baseline", *("quietest first" for _ in quiet)]
    names = " / ".join(score(name).name for name in SCORES)
    count = len({variant.method for variant in baselines})
    caption = f"{OWN} and the best of {count} baselines, row by row, on {audio}: {names}"
    return Table(caption, ["kept", *(printed(variant.method) for variant in own), *columns], rows)


def areas_table(results: Results, audio: str) -> Table:
    """Tabulate insertion and deletion areas of every method, best first, with the best of each column in bold."""
    areas = results.areas[audio]
    order = [variant for variant in ranked(results, audio) if variant in areas]
    methods = {variant: areas[variant] for variant in order if variant.method != IDEAL}
    top = {key: best(methods, key, score(key[0]).higher) for key in AREAS}
    rows = [
        [
            variant_name(variant, order),
            *(measured(areas[variant].get(key), 3, top[key] == variant) for key in AREAS),
            number(mean_gap(areas[variant])),
        ]
        for variant in order
    ]
    return Table(
        f"Areas under the curves on {audio}, mean (95% interval)",
        ["method", *(f"{score(side).heading} by {by}" for side, by in AREAS), "insertion - deletion ↑"],
        rows,
    )


def sizes_table(results: Results, audio: str) -> Table:
    """Tabulate AD, FF and Fid-In at `SIZES` for the explainer, the baselines that are best in any, and controls."""
    points = {variant: results.points[audio][variant] for variant in counted(results.points[audio])}
    rows = []
    for by, budget in SIZES:
        here = _measured_at(points, by, budget)
        keys = {name: (by, budget, name) for name in SCORES}
        baselines = {variant: means for variant, means in here.items() if is_baseline(variant.method)}
        methods = {variant: means for variant, means in here.items() if variant.method != IDEAL}
        winners = {name: best(baselines, key, score(name).higher) for name, key in keys.items()}
        leaders = {name: best(methods, key, score(name).higher) for name, key in keys.items()}
        for variant, means in here.items():
            if is_own(variant.method) or variant in winners.values() or variant.method in ALWAYS_SHOWN:
                figures = [
                    measured(
                        means.get(keys[name]),
                        score(name).digits,
                        leaders[name] == variant,
                        BEST_BASELINE if winners[name] == variant else "",
                    )
                    for name in SCORES
                ]
                rows.append([*_row_head(variant, here, by, budget), *figures])
    return Table(
        f"At equal size on {audio}: binary masks of the first bins, mean (95% interval)",
        _columns(SCORES),
        rows,
        headings=2,
    )


def all_sizes_table(results: Results, audio: str) -> Table:
    """Tabulate every variant of every method at every size that was measured."""
    points, names = results.points[audio], ("p_in", "p_out", *SCORES)
    rows = [
        [
            *_row_head(variant, points, by, budget),
            *(measured(means.get((by, budget, name)), score(name).digits) for name in names),
        ]
        for by, budget in sorted({key[:2] for means in points.values() for key in means})
        for variant, means in _measured_at(points, by, budget).items()
    ]
    return Table(f"All methods and rankings at all sizes on {audio}", _columns(names), rows, headings=2)


def _columns(names: tuple[str, ...]) -> list[str]:
    return ["kept", "method", "bins kept", "energy kept", *(score(name).heading for name in names)]


def _measured_at(points: Means, by: str, budget: float) -> Means:
    return {variant: means for variant, means in points.items() if any(key[:2] == (by, budget) for key in means)}


def _row_head(variant: Variant, among: Means, by: str, budget: float) -> list[Any]:
    shares = (percent(value) for value in _shares(among[variant], by, budget))
    return [f"{size(budget)} of {by}", variant_name(variant, among), *shares]


def _shares(means: Mapping[Key, Interval], by: str, budget: float) -> list[float | None]:
    found = [means.get((by, budget, name)) for name in ("bins_kept", "energy_kept")]
    return [interval.value if interval else None for interval in found]


def _all_scores(means: Mapping[Key, Interval], by: str, budget: float, name: str = "") -> Cell:
    if not any(key[:2] == (by, budget) for key in means):
        return Cell(MISSING)
    found = [(score(one), means.get((by, budget, one))) for one in SCORES]
    figures = " / ".join(number(interval.value if interval else None, known.digits) for known, interval in found)
    bins, energy = (percent(share, 0) for share in _shares(means, by, budget))
    return Cell(name + figures, f"{bins} of bins, {energy} of energy")
