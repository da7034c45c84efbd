"""The style of methods in all plots, and the plots of paired differences and of sanity checks."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from pipeline.evaluation.methods import IDEAL, OWN, is_own
from pipeline.evaluation.names import printed
from pipeline.evaluation.report.glossary import score
from pipeline.evaluation.report.results import Results, Row, is_baseline, ranked

# Okabe and Ito's colour-blind-safe colours; the first is the explainer's own.
OWN_COLOUR = "#D55E00"
BASELINE_COLOURS = ("#0072B2", "#009E73", "#CC79A7", "#56B4E9", "#8C6D1F", "#5B3A8E")
# Grey lines differ in dash and marker, so that the legend still identifies them.
GREY_DASHES = ("-", (0, (5, 2)), (0, (1, 1.5)), (0, (5, 1, 1, 1)), (0, (3, 1, 1, 1, 1, 1)))
GREY_MARKERS = ("o", "s", "^", "v", "D", "x", "+", "P", "*")
LEADERS = 3
DPI = 140
MAIN_DIFFERENCES = (
    "insertion by bins", "insertion by energy", "deletion by bins", "deletion by energy",
    "ad", "ff", "fid_in", "mask_mean",
)  # fmt: skip
# A mask of a wholly random classifier should resemble the original less than this; one under faint noise more.
LIMITS = {"rank_correlation": 0.2, "iou": 0.8}


class Palette:
    """One style per method in all plots: `lmac` heavy, the best baselines of any audio in colour, the rest grey."""

    def __init__(self, results: Results) -> None:
        leaders: dict[str, None] = {}
        for audio in results.audio:
            baselines = [variant.method for variant in ranked(results, audio) if is_baseline(variant.method)]
            leaders |= dict.fromkeys(baselines[:LEADERS])
        self.leaders = list(leaders)[: len(BASELINE_COLOURS)]
        of_audio = [means for table in (results.points, results.summary) for means in table.values()]
        named = [variant.method for means in of_audio for variant in means]
        named += [row["method"] for checks in results.sanity.values() for row in checks]
        named += [row["baseline"] for rows in results.differences.values() for row in rows]
        self.methods = list(dict.fromkeys(named))

    def colour(self, method: str) -> str:
        """Return the colour of a method."""
        if is_own(method):
            return OWN_COLOUR
        if method in self.leaders:
            return BASELINE_COLOURS[self.leaders.index(method)]
        return "black" if method == IDEAL else "#8a8a8a"

    def line(self, method: str) -> dict[str, Any]:
        """Return the keyword arguments of a method's line."""
        place = self.methods.index(method) if method in self.methods else 0
        dash: Any
        if method == OWN:
            width, size, order, dash = 3.0, 5.0, 5, "-"
        elif is_own(method):
            width, size, order, dash = 1.8, 4.0, 4, "--"
        elif method in self.leaders:
            width, size, order, dash = 1.8, 4.0, 3, "-"
        elif method == IDEAL:
            width, size, order, dash = 1.2, 3.0, 2, ":"
        else:
            width, size, order, dash = 0.8, 3.5, 1, GREY_DASHES[place % len(GREY_DASHES)]
        marker = GREY_MARKERS[place % len(GREY_MARKERS)] if order == 1 else "o"
        look = {"color": self.colour(method), "marker": marker, "linestyle": dash}
        return look | {"linewidth": width, "markersize": size, "zorder": order}


def forest(rows: list[Row], audio: str) -> bytes | None:
    """Plot `lmac` minus each baseline in the main scores on `audio`, as PNG; None if none of them was measured.

    Points are coloured if the whole interval is on the better side, black if on the worse one, hollow otherwise.
    """
    own = [row for row in rows if row["method"] == OWN]
    shown = {name: found for name in MAIN_DIFFERENCES if (found := [row for row in own if row["score"] == name])}
    if not shown:
        return None
    baselines = list(dict.fromkeys(row["baseline"] for found in shown.values() for row in found))
    columns, lines = min(4, len(shown)), -(-len(shown) // 4)
    figure = Figure(figsize=(12, lines * (1.1 + 0.24 * len(baselines)) + 0.6), layout="constrained")
    grid = figure.subplots(lines, columns, sharey=True, squeeze=False)
    for axis, (name, found) in zip(grid.flat, shown.items(), strict=False):
        known = score(name)
        axis.axvline(0, color="black", linewidth=0.8)
        for row in found:
            value, low, high, _ = row["interval"]
            good, bad = (low > 0, high < 0) if known.higher else (high < 0, low > 0)
            colour = "#777777" if not known.better or not (good or bad) else OWN_COLOUR if good else "black"
            y = baselines.index(row["baseline"])
            axis.plot([low, high], [y, y], color=colour, linewidth=2 if good else 1.4)
            axis.plot(value, y, "o", color=colour, markersize=5, markerfacecolor=colour if good or bad else "white")
        hint = {"higher": "right is better", "lower": "left is better", "": "a size, not a quality"}[known.better]
        axis.set_title(f"{known.name}\n{hint}", fontsize=9.5)
        axis.grid(axis="x", alpha=0.25, linewidth=0.6)
        axis.tick_params(labelsize=8.5)
        axis.locator_params(axis="x", nbins=5)
    for axis in list(grid.flat)[len(shown) :]:
        axis.set_axis_off()
    grid[0, 0].set_yticks(range(len(baselines)), [plain(printed(baseline)) for baseline in baselines])
    grid[0, 0].set_ylim(len(baselines) - 0.5, -0.5)
    figure.suptitle(f"lmac minus each baseline, paired: {plain(audio)}", fontsize=12)
    return png(figure)


def randomisation(checks: list[Row], palette: Palette, title: str) -> bytes:
    """Plot the similarity to the original mask against the last layer randomised, one panel per measure, as PNG."""
    measures, cases = _values(checks, "measure"), _values(_in_order(checks), "case")
    figure = Figure(figsize=(max(5.0, 5.5 * len(measures)), 4.4), layout="constrained")
    grid = figure.subplots(1, len(measures), squeeze=False)
    for axis, measure in zip(grid.flat, measures, strict=True):
        for method in _values(checks, "method"):
            rows = [check for check in checks if (check["method"], check["measure"]) == (method, measure)]
            x = [cases.index(check["case"]) for check in rows]
            look = palette.line(method)
            axis.plot(x, [check["value"] for check in rows], label=plain(printed(method)), **look)
            low, high = [check["low"] for check in rows], [check["high"] for check in rows]
            axis.fill_between(x, low, high, color=look["color"], alpha=0.16, linewidth=0)
        _limit(axis, measure, vertical=False)
        axis.set_xticks(range(len(cases)), [plain(printed(case)) for case in cases], rotation=40, ha="right")
        axis.set_title(f"{printed(measure)} with the original mask", fontsize=10)
        axis.set_xlabel("randomised from the top down to")
        axis.grid(alpha=0.25, linewidth=0.6)
        axis.legend(fontsize=9, frameon=False)
    return png(figure)


def bars(checks: list[Row], palette: Palette, title: str) -> bytes:
    """Plot a bar per case and method with its interval, as PNG; the measure's limit, if any, is marked."""
    methods = _values(checks, "method")
    labels = list(dict.fromkeys(_label(check) for check in _in_order(checks)))
    thickness = 0.8 / len(methods)
    figure = Figure(figsize=(8, 1.6 + len(labels) * (0.22 + 0.22 * len(methods))), layout="constrained")
    axis = figure.subplots()
    for place, method in enumerate(methods):
        rows = [check for check in checks if check["method"] == method]
        y = np.array([labels.index(_label(check)) for check in rows]) + (place - (len(methods) - 1) / 2) * thickness
        value, low, high = (np.array([row[end] for row in rows]) for end in ("value", "low", "high"))
        axis.barh(y, value, height=0.9 * thickness, color=palette.colour(method), label=plain(printed(method)))
        errors = np.maximum([value - low, high - value], 0)
        axis.errorbar(value, y, xerr=errors, fmt="none", ecolor="black", elinewidth=1, capsize=2)
    for measure in _values(checks, "measure"):
        _limit(axis, measure, vertical=True)
    axis.set_yticks(range(len(labels)), [plain(label) for label in labels])
    axis.set_ylim(len(labels) - 0.5, -0.5)
    axis.set_xlim(0, 1.05)
    axis.set_title(title, fontsize=10)
    axis.grid(axis="x", alpha=0.25, linewidth=0.6)
    figure.legend(loc="outside lower center", ncols=4, fontsize=9, frameon=False)
    return png(figure)


def plain(text: str) -> str:
    """Escape text for matplotlib: no mathematics, and shown in a legend even if it begins with `_`."""
    return text.replace("$", r"\$").lstrip("_")


def png(figure: Figure) -> bytes:
    """Render a figure as PNG."""
    buffer = io.BytesIO()
    figure.set_dpi(DPI)
    FigureCanvasAgg(figure).print_png(buffer, metadata={"Software": None})
    return buffer.getvalue()


def _values(checks: Sequence[Row], name: str) -> list[str]:
    return list(dict.fromkeys(check[name] for check in checks))


def _in_order(checks: list[Row]) -> list[Row]:
    return sorted(checks, key=lambda check: int(check["order"]))


def _label(check: Row) -> str:
    obvious = check["measure"] in LIMITS or check["measure"] == "share"
    return printed(check["case"]) if obvious else f"{printed(check['case'])}: {printed(check['measure'])}"


def _limit(axis: Axes, measure: str, vertical: bool) -> None:
    if measure in LIMITS:
        draw = axis.axvline if vertical else axis.axhline
        draw(LIMITS[measure], color="black", linestyle="--", linewidth=1, label=f"limit {LIMITS[measure]}")
