"""Whether the explainer is ahead of what people use instead, at equal size."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pipeline.evaluation.contenders import OWN
from pipeline.evaluation.report.glossary import AREAS, SCORES
from pipeline.evaluation.report.numerals import number, span
from pipeline.evaluation.report.read import Area, Interval, Results, Size, Variant
from pipeline.evaluation.report.standing import CONTROLS, best, called, counted, is_baseline

# The sizes at which methods are told apart: below, little is left to hear; above, everybody keeps nearly all.
SIZES = (
    *(Size("bins", budget) for budget in (0.02, 0.05, 0.1, 0.2)),
    *(Size("energy", budget) for budget in (0.5, 0.77, 0.9)),
)
AREA_ORDER = tuple(Area(side, by) for side in ("insertion", "deletion") for by in ("bins", "energy"))


@dataclass(frozen=True)
class Duel:
    """`lmac` against the baseline that is best in this very figure."""

    own: Interval
    baseline: Interval
    baseline_name: str
    higher: bool

    @property
    def level(self) -> bool:
        """Whether the two are equal to the digit."""
        return self.own.value == self.baseline.value

    @property
    def ahead(self) -> bool:
        """Whether `lmac` is better; a tie is not."""
        return (self.own.value > self.baseline.value) == self.higher and not self.level

    @property
    def outcome(self) -> str:
        """In words, with whether the intervals overlap."""
        place = "level" if self.level else "ahead" if self.ahead else "behind"
        return f"{place}, intervals {'overlap' if self.own.overlaps(self.baseline) else 'do not overlap'}"


@dataclass(frozen=True)
class Verdict:
    """On one audio: by score the duels at each of `SIZES` that was measured, and those of the areas.

    `rows` are against baselines, `rows_with_controls` against random and constant orders too.
    """

    audio: str
    rows: dict[str, dict[Size, Duel]]
    areas: dict[Area, Duel]
    rows_with_controls: dict[str, dict[Size, Duel]]


def judge(results: Results, audio: str) -> Verdict:
    """Hold `lmac` against the best baseline in AD and FF at every size, and in every area; empty without either.

    Of `lmac` the order that counts, of baselines whichever of theirs is best in this very figure.
    """
    areas = results.areas.get(audio, {})
    duels: dict[Area, Duel] = {}
    for area in AREA_ORDER:
        values = {variant: areas[variant][area] for variant in _standing(areas) if area in areas[variant]}
        if duel := _duel(values, AREAS[area.side].better == "higher"):
            duels[area] = duel
    return Verdict(audio, _rows(results, audio), duels, _rows(results, audio, CONTROLS))


def _rows(results: Results, audio: str, also: tuple[str, ...] = ()) -> dict[str, dict[Size, Duel]]:
    points = results.points.get(audio, {})
    rows: dict[str, dict[Size, Duel]] = {}
    for score in ("ad", "ff"):
        at = {
            size: {
                variant: points[variant][size][score]
                for variant in _standing(points)
                if score in points[variant].get(size, {})
            }
            for size in SIZES
        }
        higher = SCORES[score].better == "higher"
        rows[score] = {size: duel for size, values in at.items() if (duel := _duel(values, higher, also))}
    return rows


def _standing(variants: Iterable[Variant]) -> list[Variant]:
    found = list(variants)
    return [variant for variant in found if variant.method != OWN or variant in counted(found)]


def sentences(verdict: Verdict) -> str:
    """The verdict for people."""
    said = []
    if counts := _counts(verdict.rows):
        said.append(f"At equal size, {OWN} is ahead of the best baseline {counts}.")
        if (with_controls := _counts(verdict.rows_with_controls)) != counts:
            said.append(f"With random and constant orders among the baselines, it is {with_controls}.")
    if verdict.areas:
        shown = [f"{area.side} by {area.by} {_against(duel)}" for area, duel in verdict.areas.items()]
        said.append(f"Areas: {'; '.join(shown)}.")
    return " ".join(said) or f"{OWN} and a baseline were not both measured at equal size."


def _counts(rows: dict[str, dict[Size, Duel]]) -> str:
    counts = [
        f"on {SCORES[score].name} in {sum(duel.ahead for duel in duels.values())} of {len(duels)} rows"
        + (f" (level in {level})" if (level := sum(duel.level for duel in duels.values())) else "")
        for score, duels in rows.items()
        if duels
    ]
    return " and ".join(counts)


def _against(duel: Duel) -> str:
    own, baseline = (
        f"{number(interval.value)} ({span(interval.low, interval.high)})" for interval in (duel.own, duel.baseline)
    )
    return f"{own} against {baseline} of {duel.baseline_name}: {duel.outcome}"


def _duel(values: dict[Variant, Interval], higher: bool, also: tuple[str, ...] = ()) -> Duel | None:
    own = best({variant: value for variant, value in values.items() if variant.method == OWN}, higher)
    baselines = {
        variant: value for variant, value in values.items() if is_baseline(variant.method) or variant.method in also
    }
    baseline = best(baselines, higher)
    if own is None or baseline is None:
        return None
    return Duel(values[own], values[baseline], called(baseline, baselines), higher)
