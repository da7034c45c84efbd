"""Plots of equal size: insertion and deletion curves, and what each method pays in bins and in energy."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from pipeline.evaluation.contenders import OWN
from pipeline.evaluation.report.glossary import SCORES
from pipeline.evaluation.report.plots.canvas import Palette, plain, png
from pipeline.evaluation.report.read import Interval, Results, Size
from pipeline.evaluation.report.standing import called, is_baseline, ranked

TICKS = (1, 2, 5, 10, 20, 50, 100)
WIDE_TICKS = (0.1, 0.3, 1, 3, 10, 30, 100)
SIDES = (("p_in", "insertion: only what is kept"), ("p_out", "deletion: what is kept is taken away"))


def curves(results: Results, audio: str, palette: Palette) -> bytes:
    """p_in and p_out against the share kept, of bins and of energy, as PNG: 95% bands for two of them."""
    points = results.points[audio]
    order = ranked(results, audio)
    banded = {OWN, next((variant.method for variant in order if is_baseline(variant.method)), OWN)}
    figure = Figure(figsize=(11, 9), layout="constrained")
    grid = figure.subplots(2, 2, sharey="row")
    full = results.p(audio)
    for axis, (score, by) in zip(grid.flat, [(s, by) for s, _ in SIDES for by in ("bins", "energy")], strict=True):
        for variant in order:
            found = _along(points.get(variant, {}), by, score)
            if not found:
                continue
            x = [100 * budget for budget, _ in found]
            look = palette.line(variant.method)
            axis.plot(x, [i.value for _, i in found], label=plain(called(variant, order)), **look)
            if variant.method in banded:
                low, high = [i.low for _, i in found], [i.high for _, i in found]
                axis.fill_between(x, low, high, color=look["color"], alpha=0.16, linewidth=0, zorder=0)
        if full is not None:
            axis.axhline(full, color="black", linestyle=":", linewidth=1.2, label="p of the whole input")
        _percent_axis(axis, f"kept, % of the {by}")
        better = {"higher": "higher is better", "lower": "lower is better"}[SCORES[score].better or "higher"]
        axis.set_title(f"{dict(SIDES)[score]} ({better})", fontsize=10)
        axis.set_ylim(0, 1.02)
    for axis, (score, _) in zip(grid[:, 0], SIDES, strict=True):
        axis.set_ylabel(score)
    figure.suptitle(f"Curves at equal size: {plain(audio)}", fontsize=12)
    _legend(figure, grid.flat)
    return png(figure)


def front(results: Results, audio: str, palette: Palette) -> bytes:
    """The way of each method through (bins kept, energy kept), and p_in - p_out against either, as PNG."""
    points = results.points[audio]
    order = ranked(results, audio)
    figure = Figure(figsize=(11, 4.9), layout="constrained")
    paid, bins, energy = figure.subplots(1, 3)
    for variant in order:
        look = palette.line(variant.method) | {"label": plain(called(variant, order))}
        # Each kind of budget is a way of its own: means over windows of the two do not lie on one line.
        for by, spent, gained in (("bins", paid, bins), ("energy", None, energy)):
            stops = _stops(points.get(variant, {}), by)
            if spent is not None:
                spent.plot([b for b, _, _ in stops], [e for _, e, _ in stops], **look)
            gained.plot([b if by == "bins" else e for b, e, _ in stops], [gap for _, _, gap in stops], **look)
    for axis, x, title in (
        (paid, "bins", "what a method buys energy with"),
        (bins, "bins", "p_in - p_out (higher is better)"),
        (energy, "energy", "p_in - p_out (higher is better)"),
    ):
        _percent_axis(axis, f"kept, % of the {x}", WIDE_TICKS)
        # A share of the energy may be a handful of bins: what keeps less than this is not told apart.
        axis.set_xlim(WIDE_TICKS[0], 110)
        axis.set_title(title, fontsize=10)
    paid.set_ylabel("kept, % of the energy")
    for axis in (bins, energy):
        axis.axhline(0, color="black", linewidth=0.6)
    figure.suptitle(f"The front over both sizes: {plain(audio)}", fontsize=12)
    _legend(figure, [paid, bins, energy])
    return png(figure)


def _stops(points: dict[Size, dict[str, Interval]], by: str) -> list[tuple[float, float, float]]:
    """Shares of bins and of energy kept in percent, and `p_in - p_out`, at each budget of a kind."""
    needed = {"bins_kept", "energy_kept", "p_in", "p_out"}
    found = [
        (100 * at["bins_kept"].value, 100 * at["energy_kept"].value, at["p_in"].value - at["p_out"].value)
        for size, at in sorted(points.items(), key=lambda item: item[0].budget)
        if size.by == by and needed <= at.keys()
    ]
    return [(b, e, gap) for b, e, gap in found if b > 0 and e > 0]


def _along(points: dict[Size, dict[str, Interval]], by: str, score: str) -> list[tuple[float, Interval]]:
    return sorted((size.budget, at[score]) for size, at in points.items() if size.by == by and score in at)


def _percent_axis(axis: Axes, label: str, ticks: Sequence[float] = TICKS) -> None:
    axis.set_xscale("log")
    axis.xaxis.set_major_locator(FixedLocator(ticks))
    axis.xaxis.set_minor_locator(NullLocator())
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_xlabel(label)
    axis.grid(alpha=0.25, linewidth=0.6)


def _legend(figure: Figure, axes: Sequence[Axes]) -> None:
    entries = {label: handle for axis in axes for handle, label in zip(*axis.get_legend_handles_labels(), strict=True)}
    if entries:
        figure.legend(
            entries.values(), entries.keys(), loc="outside lower center", ncols=5, fontsize=9, frameon=False,
            handlelength=3.2,
        )  # fmt: skip
