"""What all plots of the report share: how a method looks, and how a figure becomes PNG."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from pipeline.evaluation.contenders import IDEAL, OWN, is_own
from pipeline.evaluation.report.read import Results
from pipeline.evaluation.report.standing import leading_baselines

# Okabe and Ito's colours, which the colour-blind tell apart; the first is the explainer's own.
OWN_COLOUR = "#D55E00"
BASELINE_COLOURS = ("#0072B2", "#009E73", "#CC79A7", "#56B4E9", "#8C6D1F", "#5B3A8E")
# Grey lines differ in dash and marker, so that the legend still tells which is which.
GREY_DASHES = ("-", (0, (5, 2)), (0, (1, 1.5)), (0, (5, 1, 1, 1)), (0, (3, 1, 1, 1, 1, 1)))
GREY_MARKERS = ("o", "s", "^", "v", "D", "x", "+", "P", "*")
LEADERS = 3
DPI = 140


@dataclass(frozen=True)
class Palette:
    """One look per method through all plots: `lmac` heavy, `leaders` (the best baselines) in colour, the rest grey."""

    leaders: tuple[str, ...]
    methods: tuple[str, ...]

    @classmethod
    def of(cls, results: Results) -> Palette:
        """Colours for the best baselines of any audio."""
        leaders = [method for audio in results.audio for method in leading_baselines(results, audio, LEADERS)]
        named = dict.fromkeys(
            variant.method
            for tables in (results.points, results.summary)
            for of_audio in tables.values()
            for variant in of_audio
        )
        others = [*(check.method for check in results.sanity), *(row.baseline for row in results.differences)]
        return cls(tuple(dict.fromkeys(leaders))[: len(BASELINE_COLOURS)], tuple(dict.fromkeys([*named, *others])))

    def colour(self, method: str) -> str:
        """The colour of a method."""
        if is_own(method):
            return OWN_COLOUR
        if method in self.leaders:
            return BASELINE_COLOURS[self.leaders.index(method)]
        return "black" if method == IDEAL else "#8a8a8a"

    def line(self, method: str) -> dict[str, Any]:
        """Keyword arguments of a line."""
        look: dict[str, Any] = {"color": self.colour(method), "marker": "o"}
        if method == OWN:
            return look | {"linewidth": 3.0, "markersize": 5, "zorder": 5}
        if is_own(method):
            return look | {"linewidth": 1.8, "markersize": 4, "zorder": 4, "linestyle": "--"}
        if method in self.leaders:
            return look | {"linewidth": 1.8, "markersize": 4, "zorder": 3}
        if method == IDEAL:
            return look | {"linewidth": 1.2, "markersize": 3, "zorder": 2, "linestyle": ":"}
        place = self.methods.index(method) if method in self.methods else 0
        return look | {
            "linewidth": 0.8,
            "markersize": 3.5,
            "zorder": 1,
            "linestyle": GREY_DASHES[place % len(GREY_DASHES)],
            "marker": GREY_MARKERS[place % len(GREY_MARKERS)],
        }


def plain(text: str) -> str:
    """Text that matplotlib shows to the letter: without mathematics, and in a legend even if it begins with `_`."""
    return text.replace("$", r"\$").lstrip("_")


def png(figure: Figure) -> bytes:
    """A figure as PNG."""
    buffer = io.BytesIO()
    figure.set_dpi(DPI)
    FigureCanvasAgg(figure).print_png(buffer, metadata={"Software": None})
    return buffer.getvalue()
