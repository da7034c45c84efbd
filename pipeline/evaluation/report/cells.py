"""Tables of text, and the format of numbers in them and in sentences."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any, NamedTuple

from pipeline.evaluation.report.results import Interval

MISSING = "n/a"


class Cell(NamedTuple):
    """A table cell: a figure or a name, and a detail in small print."""

    text: str
    detail: str = ""
    strong: bool = False


class Table:
    """Rows under `columns`, the first `headings` of which name the row; a plain text is a cell without detail."""

    def __init__(self, caption: str, columns: Sequence[str], rows: Iterable[Sequence[Any]], headings: int = 1) -> None:
        self.caption, self.columns, self.headings = caption, columns, headings
        self.rows = [[Cell(item) if isinstance(item, str) else item for item in row] for row in rows]

    @property
    def groups(self) -> list[list[list[Cell]]]:
        """Rows grouped into runs that begin with the same cell."""
        return [list(run) for _, run in groupby(self.rows, key=lambda row: row[0])]

    @property
    def figures(self) -> bool:
        """Whether all cells other than the headings are short enough to be figures."""
        return all(len(cell.text) < 12 for row in self.rows for cell in row[self.headings :])


def measured(interval: Interval | None, digits: int, strong: bool = False, mark: str = "") -> Cell:
    """Format a mean and its interval, with `mark` after the mean."""
    if interval is None:
        return Cell(MISSING)
    return Cell(number(interval.value, digits) + mark, span(interval.low, interval.high, digits), strong)


def number(value: float | None, digits: int = 3) -> str:
    """Format `value` with `digits` decimals; `n/a` for None or NaN; zero never has a sign."""
    if value is None or math.isnan(value):
        return MISSING
    text = f"{value:.{digits}f}"
    return text.removeprefix("-") if math.isfinite(value) and float(text) == 0 else text


def signed(value: float | None, digits: int = 3) -> str:
    """Format like `number`, with a plus sign if positive: for differences."""
    text = number(value, digits)
    return f"+{text}" if text != MISSING and float(text) > 0 else text


def span(low: float, high: float, digits: int = 3) -> str:
    """Format an interval as `4.1-8.9`, or `-0.02 to 0.10` if a hyphen could be read as a sign; empty if unknown."""
    if math.isnan(low) or math.isnan(high):
        return ""
    first, last = number(low, digits), number(high, digits)
    return f"{first} to {last}" if first.startswith("-") or last.startswith("-") else f"{first}-{last}"


def percent(share: float | None, digits: int = 1) -> str:
    """Format a share in [0, 1] in percent."""
    text = number(None if share is None else 100 * share, digits)
    return text if text == MISSING else f"{text}%"


def size(budget: float) -> str:
    """Format a budget in percent, without needless decimals: `2%`, `0.5%`."""
    return f"{100 * budget:.4g}%"


def figures(value: float, count: int = 3) -> str:
    """Format `value` with `count` significant figures and no exponent: for seconds and ratios, which span decades."""
    if math.isnan(value) or math.isinf(value) or value == 0:
        return "0" if value == 0 else number(value)
    return f"{value:.{max(0, count - 1 - math.floor(math.log10(abs(value))))}f}"
