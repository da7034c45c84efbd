"""The question of an audit for shortcuts: classes and groups that are told by a cue and not by their event."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.audit.audited import AuditedRun
from pipeline.audit.findings import Effect, Finding, Member
from pipeline.audit.shortcuts.confirm import Classify, Trial, try_cue
from pipeline.audit.shortcuts.cues.cue import Sound
from pipeline.audit.shortcuts.profiles import Place, places
from pipeline.audit.shortcuts.recurring import TESTS, Candidate, recurring
from pipeline.audit.shortcuts.sample import Sample, Subject, hear, subjects_of
from pipeline.audit.shortcuts.traits import traits_of
from pipeline.audit.weight import REFUTED, STAKES, weigh
from pipeline.lmac.explainer import Explainer
from pipeline.runs.verify.reexplain import load_recorded
from schemas.audit_config import AuditConfig
from schemas.targets import Targets

_BATCH = 16
# So many candidates of a subject are tried, those that are least probable by chance.
_TRIED = 5
_MAX_MEMBERS = 50


def shortcut(audited: AuditedRun, config: AuditConfig) -> list[Finding]:
    """Cues that may stand for a class or a group: candidates from the masks, and with `config.confirm` from the audio.

    With `confirm`, cues that recur in recordings of a subject are tried: taken out of those that have them, and put
    into others. Raises what reading the run's input and its explainer raise.
    """
    subjects = subjects_of(audited, config.group_by)
    window_s = _window_s(audited)
    from_masks = places(audited, [one.name for one in subjects if one.name in audited.classes], window_s)
    if not config.confirm or config.input_url is None:
        if config.group_by:
            columns = ", ".join(config.group_by)
            audited.note("shortcut", f"groups of {columns} are looked into on audio alone: give --input with --confirm")
        return [_unconfirmed(audited, one) for one in from_masks]
    explainer = load_recorded(audited.run.output, audited.run.record, config.explainer)
    sample = hear(audited, subjects, config.input_url)
    return _tried(audited, config, subjects, sample, explainer, {one.target: one for one in from_masks})


@dataclass(frozen=True)
class _Tried:
    subject: Subject
    candidate: Candidate
    trial: Trial
    place: Place | None


def _tried(
    audited: AuditedRun,
    config: AuditConfig,
    subjects: Sequence[Subject],
    sample: Sample,
    explainer: Explainer,
    from_masks: dict[str, Place],
) -> list[Finding]:
    rate = explainer.config.front_end.sample_rate
    traits = [traits_of(sample.sound(number), rate) for number in range(len(sample.rows))]
    bandwidth = audited.windows["bandwidth_hz"].to_numpy().astype(np.float64)[sample.rows]
    rng = np.random.default_rng(config.seed)
    tried: list[_Tried] = []
    for subject in subjects:
        members = sample.numbers(subject)
        if not (~members).any():
            audited.note("shortcut", f"{subject.name!r} is all that was heard: there is nothing to compare it with")
            continue
        audited.tests += TESTS
        classify = _classifier_of(explainer, subject.target)
        candidates = sorted(recurring(traits, bandwidth, members, rate, rng), key=lambda one: one.p)[:_TRIED]
        place = from_masks.get(subject.name)
        if place is not None:
            audited.tests += 1
            candidates.append(Candidate(place.cue, members, place.p, from_masks=True))
        for candidate in candidates:
            having, lacking = members & candidate.having, members & ~candidate.having
            others = ~members & ~candidate.having
            if not others.any():
                continue
            mine, rest, foreign = ([sample.sound(n) for n in np.flatnonzero(one)] for one in (having, lacking, others))
            trial = try_cue(candidate.cue, mine, rest, foreign, rate, classify, rng)
            tried.append(_Tried(subject, candidate, trial, place))
    return _findings(audited, sample, tried)


def _classifier_of(explainer: Explainer, target: int) -> Classify:
    n = explainer.config.front_end.window_samples

    def classify(sounds: Sequence[Sound]) -> NDArray[np.float64]:
        given = []
        for first in range(0, len(sounds), _BATCH):
            batch = np.zeros((min(_BATCH, len(sounds) - first), n), np.float32)
            for row, sound in zip(batch, sounds[first : first + _BATCH], strict=True):
                row[: len(sound)] = np.clip(sound, -1, 1)
            waveforms = torch.from_numpy(batch).to(explainer.device)
            windows = explainer.passes.classify(waveforms, None, Targets(top=1))
            given.append(windows.probabilities[:, target].double().cpu().numpy())
        return np.concatenate(given) if given else np.zeros(0)

    return classify


def _findings(audited: AuditedRun, sample: Sample, tried: Sequence[_Tried]) -> list[Finding]:
    """Of each subject the confirmed cues, or the likeliest candidate where there is none."""
    found = []
    # A class may have the name of a group.
    for subject in dict.fromkeys((one.subject.what, one.subject.name) for one in tried):
        mine = [one for one in tried if (one.subject.what, one.subject.name) == subject]
        confirmed = [one for one in mine if one.trial.confirmed]
        best = sorted(confirmed or mine, key=lambda one: -one.trial.put_in.mean)
        found += [_finding(audited, sample, one) for one in (best if confirmed else best[:1])]
    return found


def _finding(audited: AuditedRun, sample: Sample, one: _Tried) -> Finding:
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
        of = f"masks of {called} stand out at {cue.place}, more than those of other classes"
    what = (
        "what is steady there" if from_masks and cue.kind == "background" else "what is there" if from_masks else "it"
    )
    moved = (
        f"p of {target!r} changes by {_signed(out.mean)} without {what}, "
        f"by {_signed(put.mean)} where {'that' if from_masks else 'it'} is put into others"
    )
    statement = f"{of}: {moved}" if trial.confirmed else f"a candidate that was not confirmed: {of}, but {moved}"
    evidence = {
        **cue.evidence(),
        "words": words,
        "heard": len(members),
        # Where masks stand out was not looked for in the sound.
        "having": None if from_masks else len(having),
        "p_of_recurrence": None if from_masks else one.candidate.p,
        "trial": trial.evidence(),
        "masks": one.place.evidence if one.place is not None else None,
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
            f"change of p({target}) where it is put into others, less that by as much elsewhere",
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
    """A change with its sign; what is too small to be seen has none.

    >>> _signed(0.25), _signed(-0.001)
    ('+0.25', '0.00')
    """
    return "0.00" if round(value, 2) == 0 else f"{value:+.2f}"


def _certainty(trial: Trial) -> float:
    """The more a confirmed cue moves the classifier, the more it weighs."""
    return 0.5 + 0.5 * min(1.0, max(trial.put_in.mean, -trial.taken_out.mean)) if trial.confirmed else REFUTED


def _unconfirmed(audited: AuditedRun, place: Place) -> Finding:
    share = place.n / len(audited.recordings)
    where = place.cue.place
    return Finding(
        kind="shortcut",
        subject=f"{place.target}: {where}",
        statement=f"a candidate: masks of {place.target!r} stand out at {where}, more than those of other classes",
        n=place.n,
        share=share,
        # Masks of a class lie somewhere: that is hardly more than a hint.
        weight=weigh(STAKES["shortcut"], share, REFUTED),
        effect=place.effect,
        p=place.p,
        candidate=True,
        evidence=place.evidence,
    )


def _window_s(audited: AuditedRun) -> float:
    """The length of the explainer's windows in seconds, by the masks."""
    return float(audited.connection.sql("SELECT coalesce(max(n_frames * hop_s), 1.0) FROM masks").fetchall()[0][0])
