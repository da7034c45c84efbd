"""A candidate tried on audio: the cue is taken out of recordings that have it, and put into others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm, t

from pipeline.audit.shortcuts.cues.cue import Cue, Sound

# The probability of the target for sounds `[n]`, `[len(sounds)]`.
Classify = Callable[[Sequence[Sound]], NDArray[np.float64]]

_SOUNDS, _RESAMPLES, _FEWEST, _FEWEST_LACKING = 32, 2000, 4, 3
# How much a cue must change the probability, more than one elsewhere does, to count as one that is listened to.
MIN_EFFECT, LARGE_EFFECT = 0.05, 0.2
# The least change in the other of the two directions.
LEAST_EFFECT = 0.02
# Tones and moments that recur exactly are hardly the event: it is enough that the classifier needs them so much.
NEEDED_EFFECT = 0.15
EXACT = ("tone", "edge")


@dataclass(frozen=True)
class Difference:
    """A mean difference of probabilities with its 95% interval, over so many sounds."""

    mean: float
    low: float
    high: float
    n: int


@dataclass(frozen=True)
class Trial:
    """Changes of a target's probability, less the change that a cue of the same size elsewhere makes.

    `taken_out` is for recordings that have the cue, `put_in` for others that lack it and are not of the subject.
    `out_of_others` is what taking it out does to recordings of the subject that lack it: None where there are none.
    `alone_out`, `alone_in` and `others_put_in` are the changes themselves, with nothing subtracted; `others_put_in`
    puts in what recordings without the cue have in its place. A cue `recurs` if it was found in the sounds themselves,
    not in the masks alone; it is `exact` if it is then the very same, to the frequency or the sample.
    """

    taken_out: Difference
    put_in: Difference
    alone_out: Difference
    alone_in: Difference
    out_of_others: Difference | None
    others_put_in: Difference | None
    recurs: bool = True
    exact: bool = False

    @property
    def confirmed(self) -> bool:
        """Whether p falls without the cue and rises with it, more than by chance and more than through the event.

        One of the two changes must be of a size that matters; where one is large, the other may be less sure: the event
        stands in for a cue that is gone, and another event may keep p from rising.
        """
        out, put = self.taken_out, self.put_in
        falls, rises = out.high < 0, put.low > 0 and self.alone_in.low > 0
        if self._others_raise or self._others_fall:
            return False
        # Masks stand out where the event is, too: what they alone point at must change p both ways.
        least = LEAST_EFFECT if self.recurs else MIN_EFFECT
        both = falls and rises and max(put.mean, -out.mean) >= MIN_EFFECT and min(put.mean, -out.mean) >= least
        # Where the class is lost without it the cue may raise p as others of its sort do: any noise, any dull sound.
        raised = self.alone_in.mean if self.recurs else put.mean
        needed = falls and self.alone_in.low > 0 and -out.mean >= LARGE_EFFECT and raised >= MIN_EFFECT
        needed_exact = self.exact and falls and self.alone_in.low > 0 and -out.mean >= NEEDED_EFFECT
        return both or needed or needed_exact or (rises and put.mean >= LARGE_EFFECT)

    @property
    def _others_raise(self) -> bool:
        return self.others_put_in is not None and self.others_put_in.mean > max(0.02, self.alone_in.mean / 2)

    @property
    def _others_fall(self) -> bool:
        return self.out_of_others is not None and self.out_of_others.mean < min(-0.02, self.taken_out.mean / 2)

    @property
    def why_not(self) -> str:
        """Why it is not confirmed, as the end of a sentence; empty where it is confirmed."""
        if self.confirmed:
            return ""
        if self._others_fall or self._others_raise:
            return "its recordings that lack the cue behave likewise, so that it may be the event"
        return "that is too little, or no more than a cue of that size elsewhere changes"

    @property
    def effect(self) -> Difference:
        """How far the cue alone raises the target's probability."""
        return self.put_in

    def evidence(self) -> dict[str, Any]:
        """The differences, for programs."""
        return asdict(self)


def try_cue(
    cue: Cue,
    *,
    having: Sequence[Sound],
    lacking: Sequence[Sound],
    others: Sequence[Sound],
    rate: int,
    classify: Classify,
    rng: np.random.Generator,
    recurs: bool,
) -> Trial:
    """Try a cue on sounds `[n]` of the subject that have it and that lack it, and on `others`, not of the subject.

    `recurs` says that the cue was found in the sounds themselves, not in the masks.
    """
    having, lacking, others = (_some(sounds, rng) for sounds in (having, lacking, others))
    donors = [having[i % len(having)] for i in range(len(others))]
    elsewhere = [cue.elsewhere(rng, rate) for _ in range(_SOUNDS)]
    p_having, p_others = classify(having), classify(others)
    out = classify([cue.without(sound, rate) for sound in having]) - p_having
    out_elsewhere = _without(elsewhere, having, rate, classify) - p_having
    put = classify([cue.within(sound, donor, rate) for sound, donor in zip(others, donors, strict=True)]) - p_others
    put_elsewhere = (
        classify([one.within(sound, donor, rate) for one, sound, donor in zip(elsewhere, others, donors, strict=False)])
        - p_others
    )
    of_others, from_others = None, None
    # If only a few seem to lack the cue, they may have it below their own sound.
    if len(lacking) >= max(_FEWEST_LACKING, len(having) / 4):
        p_lacking = classify(lacking)
        without = classify([cue.without(sound, rate) for sound in lacking]) - p_lacking
        of_others = _difference(without - (_without(elsewhere, lacking, rate, classify) - p_lacking), rng)
        donors = [lacking[i % len(lacking)] for i in range(len(others))]
        put_by = [cue.within(sound, donor, rate) for sound, donor in zip(others, donors, strict=True)]
        # A cutoff that is put in is the same for all donors.
        if cue.kind != "cutoff":
            from_others = _difference(classify(put_by) - p_others, rng)
    return Trial(
        taken_out=_difference(out - out_elsewhere, rng),
        put_in=_difference(put - put_elsewhere, rng),
        alone_out=_difference(out, rng),
        alone_in=_difference(put, rng),
        out_of_others=of_others,
        others_put_in=from_others,
        recurs=recurs,
        exact=recurs and cue.kind in EXACT,
    )


def _some(sounds: Sequence[Sound], rng: np.random.Generator) -> list[Sound]:
    chosen = rng.permutation(len(sounds))[:_SOUNDS]
    return [sounds[i] for i in sorted(chosen.tolist())]


def _without(cues: Sequence[Cue], sounds: Sequence[Sound], rate: int, classify: Classify) -> NDArray[np.float64]:
    return classify([one.without(sound, rate) for one, sound in zip(cues, sounds, strict=False)])


def _difference(values: NDArray[np.float64], rng: np.random.Generator) -> Difference:
    """The mean of differences of probabilities `[n]` with its 95% interval by the bootstrap.

    Plain percentiles are too narrow for few values: they are widened as much as Student's t requires
    (expanded percentiles, Hesterberg 2015). Fewer than four values say nothing.
    """
    n = len(values)
    if n < _FEWEST:
        return Difference(float(values.mean()), -1.0, 1.0, n)
    tail = float(norm.cdf(np.sqrt(n / (n - 1)) * t.ppf(0.025, n - 1)))
    draws = rng.integers(0, n, size=(_RESAMPLES, n))
    low, high = np.quantile(values[draws].mean(axis=1), (tail, 1 - tail))
    return Difference(float(values.mean()), float(low), float(high), n)
