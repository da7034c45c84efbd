"""The question of an audit about shortcuts: classes and groups recognised by a cue and not by their event."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.audit.audited import AuditedRun
from pipeline.audit.findings import Finding
from pipeline.audit.shortcuts.confirm import Classify, try_cue
from pipeline.audit.shortcuts.cues.cue import Sound
from pipeline.audit.shortcuts.profiles import MaskEvidence, mask_evidence
from pipeline.audit.shortcuts.recurring import TESTS, Candidate, recurring
from pipeline.audit.shortcuts.sample import Sample, Subject, read_sample, subjects_of
from pipeline.audit.shortcuts.traits import traits_of
from pipeline.audit.shortcuts.wording import Tried, findings_of, unconfirmed
from pipeline.lmac.explainer import Explainer
from pipeline.runs.verify.reexplain import load_recorded
from schemas.audit_config import AuditConfig
from schemas.targets import Targets

_BATCH = 16
# Candidates tried per subject: those that are least probable by chance.
_TRIED = 5


def shortcut(audited: AuditedRun, config: AuditConfig) -> list[Finding]:
    """Find cues that may stand for a class or a group: candidates in the masks, and with `config.confirm` in audio.

    With `confirm`, cues that recur in recordings of a subject are tried: taken out of those that have them, and put
    into others. Raises what reading the run's input and its explainer raise.
    """
    subjects = subjects_of(audited, config.group_by)
    audited.judged["shortcut"] = 0  # what is seen in masks alone is a candidate
    window_s = _window_s(audited)
    in_masks = mask_evidence(
        audited, [one for one in subjects if one.what == "group" or one.name in audited.classes], window_s
    )
    if not config.confirm or config.input_url is None:
        return [unconfirmed(audited, one) for one in in_masks]
    explainer = load_recorded(audited.run.output, audited.run.record, config.explainer)
    audited.progress("reading recordings")
    sample = read_sample(audited, subjects, config.input_url)
    return _tried(audited, config, subjects, sample, explainer, {one.subject.key: one for one in in_masks})


def _tried(
    audited: AuditedRun,
    config: AuditConfig,
    subjects: Sequence[Subject],
    sample: Sample,
    explainer: Explainer,
    in_masks: dict[tuple[str, str], MaskEvidence],
) -> list[Finding]:
    rate = explainer.config.front_end.sample_rate
    traits = [traits_of(sample.sound(number), rate) for number in range(len(sample.rows))]
    bandwidth = audited.windows["bandwidth_hz"].to_numpy().astype(np.float64)[sample.rows]
    rng = np.random.default_rng(config.seed)
    tried: list[Tried] = []
    for number, subject in enumerate(subjects):
        audited.progress(f"{subject.name}, {number + 1} of {len(subjects)}")
        members = sample.numbers(subject)
        if not (~members).any():
            audited.note("shortcut", f"all recordings read are of {subject.name!r}: there is nothing to compare with")
            continue
        audited.tests += TESTS
        classify = _classifier_of(explainer, subject.target)
        candidates = sorted(recurring(traits, bandwidth, members, rate, rng), key=lambda one: one.p)[:_TRIED]
        stands_out = in_masks.get(subject.key)
        if stands_out is not None:
            audited.tests += 1
            candidates.append(Candidate(stands_out.cue, members, stands_out.p, from_masks=True))
        for candidate in candidates:
            without = ~candidate.having if candidate.lacking is None else candidate.lacking
            having, lacking = members & candidate.having, members & without
            others = ~members & ~candidate.having
            if not others.any():
                continue
            trial = try_cue(
                candidate.cue,
                having=sample.sounds_of(having),
                lacking=sample.sounds_of(lacking),
                others=sample.sounds_of(others),
                rate=rate,
                classify=classify,
                rng=rng,
                recurs=not candidate.from_masks,
            )
            tried.append(Tried(subject, candidate, trial, stands_out))
    judged = {row for one in subjects if not sample.numbers(one).all() for row in one.rows.tolist()}
    audited.judged["shortcut"] = len(judged)
    return findings_of(audited, sample, tried)


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


def _window_s(audited: AuditedRun) -> float:
    """The length of the explainer's windows in seconds, from the masks."""
    return float(audited.connection.sql("SELECT coalesce(max(n_frames * hop_s), 1.0) FROM masks").fetchall()[0][0])
