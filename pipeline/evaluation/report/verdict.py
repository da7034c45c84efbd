"""The verdict: whether the explainer is ahead of the best baseline at equal size."""

from __future__ import annotations

from typing import NamedTuple

from pipeline.evaluation.methods import OWN
from pipeline.evaluation.names import printed
from pipeline.evaluation.report.cells import number, span
from pipeline.evaluation.report.glossary import score
from pipeline.evaluation.report.results import (
    CONTROLS,
    Interval,
    Key,
    Means,
    Results,
    best,
    counted,
    is_baseline,
    variant_name,
)

# The sizes at which methods are compared: below, little is left to hear; above, every method keeps nearly all.
SIZES = (*(("bins", budget) for budget in (0.02, 0.05, 0.1, 0.2)), *(("energy", budget) for budget in (0.5, 0.77, 0.9)))
AREAS = tuple((side, by) for side in ("insertion", "deletion") for by in ("bins", "energy"))


class Against(NamedTuple):
    """`lmac` compared with the baseline that is best in one figure."""

    own: Interval
    baseline: Interval
    baseline_name: str
    higher: bool

    @property
    def level(self) -> bool:
        """Whether the two are equal as printed."""
        return self.own.value == self.baseline.value

    @property
    def ahead(self) -> bool:
        """Whether `lmac` is better; a tie is not."""
        return (self.own.value > self.baseline.value) == self.higher and not self.level

    @property
    def outcome(self) -> str:
        """The outcome in words, and whether the intervals overlap."""
        place = "level" if self.level else "ahead" if self.ahead else "behind"
        return f"{place}, intervals {'overlap' if self.own.overlaps(self.baseline) else 'do not overlap'}"

    @property
    def sentence(self) -> str:
        """Both figures with their intervals, and the outcome."""
        own, baseline = (f"{number(one.value)} ({span(one.low, one.high)})" for one in (self.own, self.baseline))
        return f"{own} against {baseline} of {self.baseline_name}: {self.outcome}"


def against_best(means: Means, key: Key, higher: bool, controls: bool = False) -> Against | None:
    """Compare `lmac` in the order that counts with the baseline that is best in the figure `key`, in any order.

    With `controls`, the random and constant rankings are baselines too. None if one of the two was not measured.
    """
    ours = {variant: means[variant] for variant in counted(means) if variant.method == OWN}
    theirs = {
        variant: of
        for variant, of in means.items()
        if key in of and (is_baseline(variant.method) or (controls and variant.method in CONTROLS))
    }
    own, baseline = best(ours, key, higher), best(theirs, key, higher)
    if own is None or baseline is None:
        return None
    return Against(ours[own][key], theirs[baseline][key], variant_name(baseline, theirs), higher)


def at_equal_size(results: Results, audio: str, controls: bool = False) -> dict[str, dict[Key, Against]]:
    """Compare `lmac` with the best baseline in AD and FF at each of `SIZES` that was measured, by score."""
    means = results.points.get(audio, {})
    return {
        name: {
            (*at, name): found
            for at in SIZES
            if (found := against_best(means, (*at, name), score(name).higher, controls))
        }
        for name in ("ad", "ff")
    }


def in_areas(results: Results, audio: str) -> dict[Key, Against]:
    """Compare `lmac` with the best baseline in every area."""
    means = results.areas.get(audio, {})
    return {key: found for key in AREAS if (found := against_best(means, key, score(key[0]).higher))}


def verdict(results: Results) -> list[str]:
    """Say in words how `lmac` compares with baselines on each audio, and which baselines are left out."""
    left_out: dict[str, list[str]] = {}
    for name, reason in (results.facts["methods_left_out"] or {}).items():
        left_out.setdefault(reason, []).append(printed(name))
    audio = [audio for audio in results.audio if audio in results.points or audio in results.areas]
    return [
        *(f"{one}: {on_audio(results, one)}" for one in audio),
        *(f"Not among the baselines: {', '.join(names)} ({reason})." for reason, names in left_out.items()),
    ]


def on_audio(results: Results, audio: str) -> str:
    """Say in words how `lmac` compares with baselines on an audio."""
    said = []
    if counts := _counts(at_equal_size(results, audio)):
        said.append(f"At equal size, {OWN} is ahead of the best baseline {counts}.")
        if (with_controls := _counts(at_equal_size(results, audio, controls=True))) != counts:
            said.append(f"With the random and constant rankings among the baselines, it is {with_controls}.")
    if areas := in_areas(results, audio):
        shown = [f"{side} by {by} {against.sentence}" for (side, by), against in areas.items()]
        said.append(f"Areas: {'; '.join(shown)}.")
    return " ".join(said) or f"{OWN} and a baseline were not both measured at equal size."


def _counts(rows: dict[str, dict[Key, Against]]) -> str:
    return " and ".join(
        f"on {score(name).name} in {sum(one.ahead for one in found.values())} of {len(found)} rows"
        + (f" (level in {level})" if (level := sum(one.level for one in found.values())) else "")
        for name, found in rows.items()
        if found
    )
