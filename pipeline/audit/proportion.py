"""A proportion with its interval."""

from __future__ import annotations

from scipy.stats import binomtest

from pipeline.audit.findings import Effect


def proportion(n: int, of: int, unit: str) -> Effect:
    """The share of `n` in `of` recordings with its 95% Wilson interval; `unit` says what it is a share of.

    >>> effect = proportion(5, 100, "of all recordings")
    >>> effect.value, round(effect.low, 3), round(effect.high, 3)
    (0.05, 0.022, 0.112)
    """
    interval = binomtest(n, of).proportion_ci(0.95, method="wilson")
    return Effect(n / of, unit, float(interval.low), float(interval.high))
