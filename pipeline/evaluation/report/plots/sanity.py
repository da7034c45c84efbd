"""Plots of the sanity checks."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipeline.evaluation.report.glossary import spoken
from pipeline.evaluation.report.plots.canvas import Palette, plain, png
from pipeline.evaluation.report.read import Check

# A mask of a wholly random classifier should resemble the original less than this; one under faint noise more.
LIMITS = {"rank_correlation": 0.2, "iou": 0.8}


def randomisation(checks: list[Check], palette: Palette) -> bytes:
    """Each measure of likeness to the original mask against the last layer randomised, a panel per measure, as PNG."""
    measures = list(dict.fromkeys(check.measure for check in checks))
    cases = _cases(checks)
    figure = Figure(figsize=(max(5.0, 5.5 * len(measures)), 4.4), layout="constrained")
    grid = figure.subplots(1, len(measures), squeeze=False)
    for axis, measure in zip(grid.flat, measures, strict=True):
        for method in dict.fromkeys(check.method for check in checks):
            rows = [check for check in checks if check.method == method and check.measure == measure]
            x = [cases.index(check.case) for check in rows]
            look = palette.line(method)
            axis.plot(x, [check.interval.value for check in rows], label=plain(spoken(method)), **look)
            low, high = [check.interval.low for check in rows], [check.interval.high for check in rows]
            axis.fill_between(x, low, high, color=look["color"], alpha=0.16, linewidth=0)
        _limit(axis, measure, vertical=False)
        axis.set_xticks(range(len(cases)), [plain(spoken(case)) for case in cases], rotation=40, ha="right")
        axis.set_title(f"{spoken(measure)} with the original mask", fontsize=10)
        axis.set_xlabel("randomised from the top down to")
        axis.grid(alpha=0.25, linewidth=0.6)
        axis.legend(fontsize=9, frameon=False)
    return png(figure)


def bars(checks: list[Check], palette: Palette, title: str) -> bytes:
    """A bar per case and method with its interval, as PNG; the limit is marked where the measure has one."""
    methods = list(dict.fromkeys(check.method for check in checks))
    labels = list(dict.fromkeys(_label(check) for check in sorted(checks, key=lambda check: check.order)))
    thickness = 0.8 / len(methods)
    figure = Figure(figsize=(8, 1.6 + len(labels) * (0.22 + 0.22 * len(methods))), layout="constrained")
    axis = figure.subplots()
    for place, method in enumerate(methods):
        rows = [check for check in checks if check.method == method]
        y = np.array([labels.index(_label(check)) for check in rows]) + (place - (len(methods) - 1) / 2) * thickness
        value, low, high = (np.array([getattr(row.interval, end) for row in rows]) for end in ("value", "low", "high"))
        axis.barh(y, value, height=0.9 * thickness, color=palette.colour(method), label=plain(spoken(method)))
        errors = np.maximum([value - low, high - value], 0)
        axis.errorbar(value, y, xerr=errors, fmt="none", ecolor="black", elinewidth=1, capsize=2)
    for measure in dict.fromkeys(check.measure for check in checks):
        _limit(axis, measure, vertical=True)
    axis.set_yticks(range(len(labels)), [plain(label) for label in labels])
    axis.set_ylim(len(labels) - 0.5, -0.5)
    axis.set_xlim(0, 1.05)
    axis.set_title(title, fontsize=10)
    axis.grid(axis="x", alpha=0.25, linewidth=0.6)
    figure.legend(loc="outside lower center", ncols=4, fontsize=9, frameon=False)
    return png(figure)


def _cases(checks: list[Check]) -> list[str]:
    return list(dict.fromkeys(check.case for check in sorted(checks, key=lambda check: check.order)))


def _label(check: Check) -> str:
    obvious = check.measure in LIMITS or check.measure == "share"
    return spoken(check.case) if obvious else f"{spoken(check.case)}: {spoken(check.measure)}"


def _limit(axis: Axes, measure: str, vertical: bool) -> None:
    if measure in LIMITS:
        draw = axis.axvline if vertical else axis.axhline
        draw(LIMITS[measure], color="black", linestyle="--", linewidth=1, label=f"limit {LIMITS[measure]}")
