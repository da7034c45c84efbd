"""Findings about cues in words: those that were tried on audio, and candidates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.audit.audited import AuditedRun
from pipeline.audit.findings import Effect, Finding, Member
from pipeline.audit.shortcuts.confirm import Trial
from pipeline.audit.shortcuts.profiles import MaskEvidence
from pipeline.audit.shortcuts.recurring import Candidate
from pipeline.audit.shortcuts.sample import Sample, Subject
from pipeline.audit.weight import REFUTED, STAKES, weigh

_MAX_MEMBERS = 50


@dataclass(frozen=True)
class Tried:
    """A candidate of a subject, its trial on audio, and where the subject's masks stand out."""

    subject: Subject
    candidate: Candidate
    trial: Trial
    in_masks: MaskEvidence | None


def findings_of(audited: AuditedRun, sample: Sample, tried: Sequence[Tried]) -> list[Finding]:
    """The confirmed cues of each subject, or its likeliest candidate where none is confirmed."""
    found = []
    for subject in dict.fromkeys(one.subject.key for one in tried):
        mine = [one for one in tried if one.subject.key == subject]
        confirmed = [one for one in mine if one.trial.confirmed]
        best = sorted(confirmed or mine, key=lambda one: -one.trial.put_in.mean)
        found += [_finding(audited, sample, one) for one in (best if confirmed else best[:1])]
    return found


def _finding(audited: AuditedRun, sample: Sample, one: Tried) -> Finding:
    members = np.flatnonzero(sample.numbers(one.subject))
    having = [n for n in members if one.candidate.having[n]]
    share, trial, cue = len(having) / len(members), one.trial, one.candidate.cue
    out, put = trial.alone_out, trial.alone_in
    target = audited.classes[one.subject.target]
    called = f"the {one.subject.what} {one.subject.name!r}"
    from_masks = one.candidate.from_masks
    words = cue.place if from_masks else cue.words
    of = f"{called} has {cue.words} in {len(having)} of {len(members)} recordings that were heard"
    if from_masks:
        of = f"masks of {called} stand out at {cue.place}, more than {_others(one.subject)}"
    what = (
        "what is steady there" if from_masks and cue.kind == "background" else "what is there" if from_masks else "it"
    )
    moved = (
        f"p of {target!r} changes by {_signed(out.mean)} without {what}, "
        f"by {_signed(put.mean)} where {'that' if from_masks else 'it'} is put into others"
    )
    statement = f"{of}: {moved}" if trial.confirmed else f"not confirmed: {of}, but {moved}; {trial.why_not}"
    evidence = {
        **cue.evidence(),
        "words": words,
        "heard": len(members),
        # A place where masks stand out was not searched for in the sound.
        "having": None if from_masks else len(having),
        "p_of_recurrence": None if from_masks else one.candidate.p,
        "trial": trial.evidence(),
        "masks": one.in_masks.evidence if one.in_masks is not None else None,
    }
    windows = [int(sample.rows[n]) for n in having]
    of_all = share * len(one.subject.rows) / len(audited.recordings)
    return Finding(
        kind="shortcut",
        subject=f"{one.subject.name}: {words}",
        statement=statement,
        n=round(share * len(one.subject.rows)),
        share=of_all,
        weight=weigh(STAKES["shortcut"], of_all, _certainty(trial)),
        effect=Effect(
            trial.effect.mean,
            f"change of p({target}) where it is put into others, less that of a cue of that size elsewhere",
            trial.effect.low,
            trial.effect.high,
        ),
        p=one.candidate.p,
        confirmed=trial.confirmed,
        candidate=not trial.confirmed,
        evidence=evidence,
        members=[
            Member(audited.clip_ids[row], audited.window_ids[row], float(audited.windows["probability"][row].as_py()))
            for row in windows[:_MAX_MEMBERS]
        ],
    )


def _signed(value: float) -> str:
    """Format a change with its sign; one that rounds to 0 has none.

    >>> _signed(0.25), _signed(-0.001)
    ('+0.25', '0.00')
    """
    return "0.00" if round(value, 2) == 0 else f"{value:+.2f}"


def _certainty(trial: Trial) -> float:
    """The more a confirmed cue moves the classifier, the more it weighs."""
    return 0.5 + 0.5 * min(1.0, max(trial.put_in.mean, -trial.taken_out.mean)) if trial.confirmed else REFUTED


def unconfirmed(audited: AuditedRun, found: MaskEvidence) -> Finding:
    """A candidate from the masks alone."""
    share = found.n / len(audited.recordings)
    where, subject = found.cue.place, found.subject
    return Finding(
        kind="shortcut",
        subject=f"{subject.name}: {where}",
        statement=f"a candidate: masks of {subject.name!r} stand out at {where}, more than {_others(subject)}",
        n=found.n,
        share=share,
        # The masks of every class lie somewhere: that is hardly more than a hint.
        weight=weigh(STAKES["shortcut"], share, REFUTED),
        effect=found.effect,
        p=found.p,
        candidate=True,
        evidence=found.evidence,
    )


def _others(subject: Subject) -> str:
    return "those of other classes" if subject.what == "class" else "those that others of the same classes have"
