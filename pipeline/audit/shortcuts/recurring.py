"""Cues that recur in recordings of one subject and in few others, as events of independent recordings do not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import hypergeom

from pipeline.audit.shortcuts.cues.background import Background, bands
from pipeline.audit.shortcuts.cues.cue import Cue
from pipeline.audit.shortcuts.cues.cutoff import Cutoff
from pipeline.audit.shortcuts.cues.moments import Edge
from pipeline.audit.shortcuts.cues.spectrum import N_FFT
from pipeline.audit.shortcuts.cues.tones import Lines
from pipeline.audit.shortcuts.traits import EDGE_S, Traits

# A cue is examined if this many recordings have it, and if it is this many times as frequent as in others.
MIN_RECORDINGS, _MIN_RATIO = 4, 2.0
# A cue that is more probable by chance is no candidate.
_MAX_P = 0.01
# Tones that mostly occur together are one cue.
_TOGETHER, _MAX_TONES = 0.6, 12
# Backgrounds are the same where most bands differ by less than this.
_SAME_DB, _SAME_SHARE, _OTHER_SHARE = 2.0, 0.6, 0.3
# The quantile of recordings whose level is usual: a faint noise may lie below that of most, and still be heard.
_USUAL = 0.1
# Spectra end at the same edge within this many Hz.
_EDGE_HZ, _LOWEST_EDGE_HZ = 250.0, 2000.0
_ROUNDS, _COHERENT = 200, 3.0
_MIN_LIKENESS = 0.3


@dataclass(frozen=True)
class Candidate:
    """A cue, which recordings have it `[R]`, and `p`: how surprising their number in the subject is.

    `p` is corrected for all that was examined for this kind of cue, and for no more.

    A cue `from_masks` was not searched for in the sound: its p is that of the masks, and all recordings of the subject
    count as having it. `lacking` `[R]` are the recordings that surely lack it; None stands for all not in `having`.
    """

    cue: Cue
    having: NDArray[np.bool_]
    p: float
    lacking: NDArray[np.bool_] | None = None
    from_masks: bool = False


# Tones, ends of the spectrum, backgrounds, the first and the last moment: each is one test of a subject.
TESTS = 5


def recurring(
    traits: Sequence[Traits],
    bandwidth_hz: NDArray[np.float64],
    members: NDArray[np.bool_],
    rate: int,
    rng: np.random.Generator,
) -> Iterator[Candidate]:
    """Yield cues that recordings of a subject, `members` `[R]`, have in common, among all recordings `[R]`.

    `bandwidth_hz` `[R]` is where their spectra end, NaN where that is unknown.
    """
    yield from _tones(np.stack([one.tones for one in traits]), members, rate)
    yield from _cutoffs(bandwidth_hz, members, rate)
    yield from _backgrounds(np.stack([one.background for one in traits]), members, rate)
    yield from _edges(np.stack([one.start for one in traits]), members, "start", rng)
    yield from _edges(np.stack([one.end for one in traits]), members, "end", rng)


def _surprise(having: NDArray[np.bool_], members: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The p of as many members having each column of `having` `[R, k]`, by Fisher's exact test (one-sided)."""
    inside, total = having[members].sum(axis=0), having.sum(axis=0)
    p: NDArray[np.float64] = hypergeom.sf(inside - 1, len(members), int(members.sum()), total)
    ratio = inside / max(1, members.sum()) / np.maximum(1e-9, (total - inside) / max(1, (~members).sum()))
    p[(inside < MIN_RECORDINGS) | (ratio < _MIN_RATIO)] = 1.0
    return p


def _tones(tones: NDArray[np.bool_], members: NDArray[np.bool_], rate: int) -> Iterator[Candidate]:
    near = tones.copy()
    near[:, 1:] |= tones[:, :-1]
    near[:, :-1] |= tones[:, 1:]
    p = _surprise(near, members)
    while p.min() * len(p) < _MAX_P:
        first = int(p.argmin())
        having = near[:, first]
        others = (
            near[having & members].mean(axis=0) - near[~having & members].mean(axis=0)
            if (~having & members).any()
            else near[having & members].mean(axis=0)
        )
        together = np.flatnonzero((others >= _TOGETHER) & (p < 0.01))
        bins = _peaks(together, tones[having & members].sum(axis=0), first)
        lines = Lines(tuple(float(one * rate / N_FFT) for one in bins))
        # Corrected for all bins, as each was examined.
        yield Candidate(lines, having, min(1.0, float(p[first]) * len(p)))
        p[together] = 1.0
        p[max(0, first - 2) : first + 3] = 1.0


def _peaks(bins: NDArray[np.int64], counts: NDArray[np.int64], first: int) -> list[int]:
    """The most frequent bin of each run of neighbours, and `first`; of all these, the most frequent few."""
    runs = np.split(bins, np.flatnonzero(np.diff(bins) > 2) + 1) if len(bins) else []
    best = [int(run[int(counts[run].argmax())]) for run in runs]
    if all(abs(one - first) > 2 for one in best):
        best.append(first)
    return sorted(sorted(best, key=lambda one: -int(counts[one]))[:_MAX_TONES])


def _cutoffs(bandwidth_hz: NDArray[np.float64], members: NDArray[np.bool_], rate: int) -> Iterator[Candidate]:
    limited = (bandwidth_hz >= _LOWEST_EDGE_HZ) & (bandwidth_hz < 0.45 * rate)
    edges = np.unique(np.round(bandwidth_hz[limited & members] / (_EDGE_HZ / 2)) * (_EDGE_HZ / 2))
    if not len(edges):
        return
    having = np.abs(bandwidth_hz[:, None] - edges[None]) <= _EDGE_HZ
    p = _surprise(having, members)
    best = int(p.argmin())
    if p[best] * len(p) < _MAX_P:
        there = having[:, best]
        yield Candidate(Cutoff(float(np.median(bandwidth_hz[there & members]))), there, float(p[best]) * len(p))


def _backgrounds(levels: NDArray[np.float32], members: NDArray[np.bool_], rate: int) -> Iterator[Candidate]:
    """The background that most members share, as one of them has it."""
    edges = bands(rate)
    loud = levels.max(axis=1) > -100
    p_best, found = 1.0, None
    for one in np.flatnonzero(members & loud):
        same = np.abs(levels - levels[one]) <= _SAME_DB
        having = (same.mean(axis=1) >= _SAME_SHARE) & loud
        # That a recording has its own background is no surprise.
        others = members.copy()
        others[one] = False
        rest = np.arange(len(members)) != one
        p = float(_surprise(having[rest, None], others[rest])[0]) * int(members.sum())
        if p < p_best:
            shared = same[having & members].mean(axis=0) >= 0.7
            p_best, found = p, (having, shared, same.mean(axis=1) < _OTHER_SHARE)
    if found is not None and p_best < _MAX_P and found[1].any():
        having, shared, lacking = found
        places = np.flatnonzero(shared)
        usual = tuple(np.quantile(levels[~having], _USUAL, axis=0).round(1).tolist()) if (~having).any() else ()
        cue = Background(float(edges[places[0]]), float(edges[places[-1] + 1]), usual)
        yield Candidate(cue, having, min(1.0, p_best), lacking)


def _edges(
    moments: NDArray[np.float32], members: NDArray[np.bool_], at: str, rng: np.random.Generator
) -> Iterator[Candidate]:
    """The first or last moment, where members have the same waveform there: it survives averaging."""
    mine = moments[members]
    mine = mine[np.abs(mine).max(axis=1) > 0]
    if len(mine) < MIN_RECORDINGS:
        return
    signs = (2 * rng.integers(0, 2, size=(_ROUNDS, len(mine))) - 1).astype(np.float32)
    chance: NDArray[np.float32] = np.square(signs @ mine).sum(axis=1)
    coherent = float(np.square(mine.sum(axis=0)).sum())
    z = (coherent - float(chance.mean())) / max(1e-9, float(chance.std()))
    p = (1 + int((chance >= coherent).sum())) / (1 + _ROUNDS)
    if z < _COHERENT or p > _MAX_P:
        return
    total = mine.sum(axis=0)
    # A member is compared with the other members, without itself.
    templates = np.where(members[:, None], total - moments, total)
    norms = np.linalg.norm(moments, axis=1) * np.linalg.norm(templates, axis=1)
    having = np.einsum("rn,rn->r", moments, templates) / np.maximum(norms, 1e-9) >= _MIN_LIKENESS
    surprise = float(_surprise(having[:, None], members)[0])
    if surprise < _MAX_P:
        yield Candidate(Edge(EDGE_S, at), having, surprise)
