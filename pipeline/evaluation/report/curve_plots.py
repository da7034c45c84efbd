"""Plots at equal size: insertion and deletion curves, and the bins and energy that each method keeps."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from pipeline.evaluation.methods import OWN
from pipeline.evaluation.report.glossary import score as known
from pipeline.evaluation.report.plots import Palette, plain, png
from pipeline.evaluation.report.results import Interval, Means, Results, Variant, is_baseline, ranked, variant_name

TICKS = (1, 2, 5, 10, 20, 50, 100)
WIDE_TICKS = (0.1, 0.3, 1, 3, 10, 30, 100)
SIDES = {"p_in": "insertion: only what is kept", "p_out": "deletion: what is kept is taken away"}


def curves(results: Results, audio: str, palette: Palette) -> bytes:
    """Plot p_in and p_out against the share kept, of bins and of energy, as PNG: 95% bands for two of them."""
    order = ranked(results, audio)
    banded = {OWN, next((variant.method for variant in order if is_baseline(variant.method)), OWN)}
    figure = Figure(figsize=(11, 9), layout="constrained")
    grid = figure.subplots(2, 2, sharey="row")
    full = results.p(audio)
    for axis, (score, by) in zip(grid.flat, [(s, by) for s in SIDES for by in ("bins", "energy")], strict=True):
        for variant in order:
            found = _along(results.points[audio], variant, by, score)
            x = [100 * budget for budget in found]
            look = palette.line(variant.method)
            if found:
                label = plain(variant_name(variant, order))
                axis.plot(x, [interval.value for interval in found.values()], label=label, **look)
            if found and variant.method in banded:
                low, high = ([getattr(interval, end) for interval in found.values()] for end in ("low", "high"))
                axis.fill_between(x, low, high, color=look["color"], alpha=0.16, linewidth=0, zorder=0)
        if full is not None:
            axis.axhline(full, color="black", linestyle=":", linewidth=1.2, label="p of the whole input")
        _percent_axis(axis, f"kept, % of the {by}")
        axis.set_title(f"{SIDES[score]} ({known(score).better} is better)", fontsize=10)
        axis.set_ylim(0, 1.02)
    for axis, score in zip(grid[:, 0], SIDES, strict=True):
        axis.set_ylabel(score)
    figure.suptitle(f"Curves at equal size: {plain(audio)}", fontsize=12)
    _legend(figure, grid.flat)
    return png(figure)


def front(results: Results, audio: str, palette: Palette) -> bytes:
    """Plot each method's path through (bins kept, energy kept), and p_in - p_out against either, as PNG."""
    order = ranked(results, audio)
    figure = Figure(figsize=(11, 4.9), layout="constrained")
    paid, bins, energy = figure.subplots(1, 3)
    for variant in order:
        look = palette.line(variant.method) | {"label": plain(variant_name(variant, order))}
        # Each kind of budget has its own path, as means over windows of the two do not lie on one line.
        for by, axis in (("bins", bins), ("energy", energy)):
            stops = _stops(results.points[audio], variant, by)
            if by == "bins":
                paid.plot([b for b, _, _ in stops], [e for _, e, _ in stops], **look)
            axis.plot([b if by == "bins" else e for b, e, _ in stops], [gap for _, _, gap in stops], **look)
    for axis, x, title in (
        (paid, "bins", "energy kept for the bins kept"),
        (bins, "bins", "p_in - p_out (higher is better)"),
        (energy, "energy", "p_in - p_out (higher is better)"),
    ):
        _percent_axis(axis, f"kept, % of the {x}", WIDE_TICKS)
        # A share of the energy may be a handful of bins: smaller shares are not distinguished.
        axis.set_xlim(WIDE_TICKS[0], 110)
        axis.set_title(title, fontsize=10)
    paid.set_ylabel("kept, % of the energy")
    for axis in (bins, energy):
        axis.axhline(0, color="black", linewidth=0.6)
    figure.suptitle(f"The front over both sizes: {plain(audio)}", fontsize=12)
    _legend(figure, [paid, bins, energy])
    return png(figure)


def _along(points: Means, variant: Variant, by: str, score: str) -> dict[float, Interval]:
    """Return a score by budget, the smallest budget first."""
    means = points.get(variant, {})
    return {budget: means[by, budget, score] for kind, budget, name in sorted(means) if (kind, name) == (by, score)}


def _stops(points: Means, variant: Variant, by: str) -> list[tuple[float, float, float]]:
    """Return the shares of bins and energy kept in percent, and `p_in - p_out`, at each budget of a kind."""
    bins, energy, p_in, p_out = (
        _along(points, variant, by, score) for score in ("bins_kept", "energy_kept", "p_in", "p_out")
    )
    found = [
        (100 * bins[at].value, 100 * energy[at].value, p_in[at].value - p_out[at].value)
        for at in bins
        if at in energy and at in p_in and at in p_out
    ]
    return [(b, e, gap) for b, e, gap in found if b > 0 and e > 0]


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
        look = {"ncols": 5, "fontsize": 9, "frameon": False, "handlelength": 3.2}
        figure.legend(entries.values(), entries.keys(), loc="outside lower center", **look)
