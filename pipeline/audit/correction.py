"""Correction of p values for the number of tests in an audit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pipeline.audit.findings import Finding

# The share of the findings with a p that may be false.
FALSE_DISCOVERIES = 0.05


def adjusted(p: ArrayLike, tests: int = 0) -> NDArray[np.float64]:
    """p values `[n]` adjusted to bound the share of false discoveries (Benjamini and Hochberg 1995).

    They may be the smallest of `tests` p values, of which the others were not worth reporting.

    >>> adjusted([0.01, 0.02, 0.5]).tolist()
    [0.03, 0.03, 0.5]
    >>> adjusted([0.01, 0.02], tests=10).tolist()
    [0.1, 0.1]
    """
    values = np.asarray(p, np.float64)
    order = np.argsort(values, kind="stable")[::-1]
    ranks = np.arange(len(values), 0, -1)
    steps = np.minimum.accumulate(values[order] * max(len(values), tests) / ranks)
    result = np.empty_like(values)
    result[order] = np.minimum(steps, 1.0)
    return result


def corrected(findings: Sequence[Finding], tests: int = 0) -> list[Finding]:
    """Drop the findings whose `p` is not significant after correction; those without a `p` stay as they are.

    `tests` is how many tests were made, if only those with the smallest p have a finding.
    """
    tested = [one for one in findings if one.p is not None]
    values = adjusted([one.p for one in tested if one.p is not None], tests)
    kept = [
        replace(one, p_adjusted=float(value))
        for one, value in zip(tested, values, strict=True)
        if value <= FALSE_DISCOVERIES
    ]
    return [one for one in findings if one.p is None] + kept
