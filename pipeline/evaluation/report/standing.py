"""Who is compared with whom, and who stands where at equal size."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from pipeline.evaluation.contenders import IDEAL, is_own
from pipeline.evaluation.report.glossary import spoken
from pipeline.evaluation.report.read import Area, Interval, Results, Variant

# What explains nothing is shown, but is nobody's baseline: at 77% of the energy a random order keeps most bins.
CONTROLS = ("random", "constant")


def is_baseline(method: str) -> bool:
    """Whether it is what `lmac` is measured against."""
    return not is_own(method) and method != IDEAL and method not in CONTROLS


def counted(variants: Iterable[Variant]) -> list[Variant]:
    """Of each method the variants that count; all of them where none is marked."""
    found = list(variants)
    marked = {variant.method for variant in found if variant.best}
    return [variant for variant in found if variant.best or variant.method not in marked]


def called(variant: Variant, among: Iterable[Variant]) -> str:
    """A name that tells a variant from the others: the method's, with the mask or order where it has several."""
    several = sum(other.method == variant.method for other in among) > 1
    return f"{spoken(variant.method)} ({spoken(variant.how)})" if several else spoken(variant.method)


def overall(areas: Mapping[Area, Interval]) -> float:
    """Insertion minus deletion, the mean over bins and energy; NaN where nothing was measured on both sides."""
    gaps = [
        area.value - areas[Area("deletion", by)].value
        for (side, by), area in areas.items()
        if side == "insertion" and Area("deletion", by) in areas
    ]
    return sum(gaps) / len(gaps) if gaps else math.nan


def ranked(results: Results, audio: str) -> list[Variant]:
    """The variants that count, best area first; those without areas last, in the order of the methods."""
    areas = results.areas.get(audio, {})
    rest = [
        variant
        for variant in counted(results.points.get(audio, {}))
        if variant.method not in {known.method for known in areas}
    ]
    return sorted([*counted(areas), *rest], key=lambda variant: -_or_least(overall(areas.get(variant, {}))))


def leading_baselines(results: Results, audio: str, count: int) -> list[str]:
    """The `count` baselines with the best areas, best first."""
    return [variant.method for variant in ranked(results, audio) if is_baseline(variant.method)][:count]


def best(values: Mapping[Variant, Interval], higher: bool) -> Variant | None:
    """The variant with the best value, the first of equal ones; None of none."""
    measured = [variant for variant, interval in values.items() if not math.isnan(interval.value)]
    sign = 1 if higher else -1
    return max(measured, key=lambda variant: sign * values[variant].value, default=None)


def _or_least(value: float) -> float:
    return -math.inf if math.isnan(value) else value
