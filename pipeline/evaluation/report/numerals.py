"""How numbers are written, in tables and sentences alike."""

from __future__ import annotations

import math

MISSING = "n/a"


def number(value: float | None, digits: int = 3) -> str:
    """`value` with `digits` decimals; `n/a` where there is none; zero never has a sign."""
    if value is None or math.isnan(value):
        return MISSING
    text = f"{value:.{digits}f}"
    return text.removeprefix("-") if math.isfinite(value) and float(text) == 0 else text


def signed(value: float | None, digits: int = 3) -> str:
    """As `number`, with a plus sign where it is positive: for differences."""
    text = number(value, digits)
    return f"+{text}" if text != MISSING and value is not None and float(text) > 0 else text


def span(low: float, high: float, digits: int = 3) -> str:
    """An interval, as `4.1-8.9`, or `-0.02 to 0.10` where a hyphen could be taken for a sign; empty where unknown."""
    if math.isnan(low) or math.isnan(high):
        return ""
    first, last = number(low, digits), number(high, digits)
    return f"{first} to {last}" if first.startswith("-") or last.startswith("-") else f"{first}-{last}"


def percent(share: float | None, digits: int = 1) -> str:
    """A share in [0, 1] in percent."""
    text = number(None if share is None else 100 * share, digits)
    return text if text == MISSING else f"{text}%"


def size(budget: float) -> str:
    """A budget in percent, without needless decimals: `2%`, `0.5%`."""
    return f"{100 * budget:.4g}%"


def figures(value: float | None, count: int = 3) -> str:
    """`value` with `count` significant figures and no exponent: for seconds and ratios, which span decades."""
    if value is None or math.isnan(value) or math.isinf(value):
        return number(value)
    if value == 0:
        return "0"
    return f"{value:.{max(0, count - 1 - math.floor(math.log10(abs(value))))}f}"
