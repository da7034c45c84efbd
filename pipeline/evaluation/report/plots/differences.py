"""A forest plot of paired differences."""

from __future__ import annotations

from matplotlib.figure import Figure

from pipeline.evaluation.report.glossary import score as known
from pipeline.evaluation.report.glossary import spoken
from pipeline.evaluation.report.plots.canvas import OWN_COLOUR, plain, png
from pipeline.evaluation.report.read import Difference

MAIN = (
    "insertion by bins", "insertion by energy", "deletion by bins", "deletion by energy",
    "ad", "ff", "fid_in", "mask_mean",
)  # fmt: skip
COLUMNS = 4


def forest(differences: list[Difference], audio: str) -> bytes | None:
    """`lmac` minus each baseline in the main scores on `audio`, as PNG; None where none of them was measured.

    Filled in colour where the whole interval is on the better side, in black on the worse one, hollow in between.
    """
    by_score = {name: [row for row in differences if row.score == name] for name in MAIN}
    shown = {name: rows for name, rows in by_score.items() if rows}
    if not shown:
        return None
    baselines = list(dict.fromkeys(row.baseline for rows in shown.values() for row in rows))
    lines = -(-len(shown) // COLUMNS)
    figure = Figure(figsize=(12, lines * (1.1 + 0.24 * len(baselines)) + 0.6), layout="constrained")
    grid = figure.subplots(lines, min(COLUMNS, len(shown)), sharey=True, squeeze=False)
    for axis, (name, rows) in zip(grid.flat, shown.items(), strict=False):
        better = known(name).better
        axis.axvline(0, color="black", linewidth=0.8)
        for row in rows:
            value, low, high, _ = row.interval
            good, bad = (low > 0, high < 0) if better == "higher" else (high < 0, low > 0)
            colour = "#777777" if better is None or not (good or bad) else OWN_COLOUR if good else "black"
            y = baselines.index(row.baseline)
            axis.plot([low, high], [y, y], color=colour, linewidth=2 if good else 1.4)
            axis.plot(value, y, "o", color=colour, markersize=5, markerfacecolor=colour if good or bad else "white")
        hint = {"higher": "right is better", "lower": "left is better", None: "a size, not a quality"}[better]
        axis.set_title(f"{known(name).name}\n{hint}", fontsize=9.5)
        axis.grid(axis="x", alpha=0.25, linewidth=0.6)
        axis.tick_params(labelsize=8.5)
        axis.locator_params(axis="x", nbins=5)
    for axis in list(grid.flat)[len(shown) :]:
        axis.set_axis_off()
    first = grid[0, 0]
    first.set_yticks(range(len(baselines)), [plain(spoken(baseline)) for baseline in baselines])
    first.set_ylim(len(baselines) - 0.5, -0.5)
    figure.suptitle(f"lmac minus each baseline, paired: {plain(audio)}", fontsize=12)
    return png(figure)
