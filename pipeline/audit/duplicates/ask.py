"""From a run to its duplicates: equal samples by digest, near copies by neighbours and waveforms, leakage by groups."""

from __future__ import annotations

from collections.abc import Collection, Iterable

import numpy as np
from numpy.typing import NDArray

from pipeline.audit.audited import AuditedRun, rows_of
from pipeline.audit.duplicates.candidates import Candidates, find_candidates, spectral_shapes
from pipeline.audit.duplicates.copy_groups import group_copies
from pipeline.audit.duplicates.describe import leakage, near_copies, same_samples, unheard_candidates
from pipeline.audit.duplicates.read_windows import read_windows
from pipeline.audit.duplicates.recorded_windows import RecordedWindows
from pipeline.audit.duplicates.verify_pairs import Copy, verify
from pipeline.audit.findings import Finding
from pipeline.audit.questions import question
from schemas.audit_config import AuditConfig

# Few pairs this similar in both embedding and spectrum are not copies; see docs/duplicates.md.
ALIKE = 0.98


def duplicates(audited: AuditedRun, config: AuditConfig) -> list[Finding]:
    """Find recordings that are copies of others.

    There is one finding for equal samples, one for near copies, and one for each set of values of `config.split` that
    a group of copies spans: such recordings are tested on and trained on. Near copies are neighbours, by the
    classifier's embedding or by the shape of their spectrum, whose waveforms agree; the sound comes from
    `config.input_url`, else from the run's listenables if both sides are there. Pairs that could not be compared are
    reported as such (`confirmed` is None) if they are very similar, and count nowhere else.

    A recording is a file: its windows, channels and segments are not copies of each other. Silence copies nothing.
    Raises AuditError if no recording has the column `config.split`, and what reading the input raises.
    """
    windows = RecordedWindows.of(audited, config.split)
    equal = equal_samples(audited, windows)
    candidates = near_candidates(audited, windows)

    def read(window_ids: Collection[str]) -> Iterable[tuple[str, NDArray[np.float32]]]:
        return read_windows(audited.run, window_ids, config.input_url)

    verified = verify(windows, candidates.pairs, read, audited.run.record.explainer["sample_rate"])
    if len(verified.unheard):
        audited.note(
            "duplicate",
            f"{len(verified.unheard)} of {len(candidates.pairs)} pairs of neighbours were not compared, as their sound "
            "is missing: copies may be among them"
            + ("" if config.input_url is not None else "; pass --input, or explain with --listenables both"),
        )
    same = group_copies(windows, equal)
    group = {recording: number for number, members in enumerate(same.groups) for recording in members}

    def is_new(copy: Copy) -> bool:
        first, second = (group.get(int(windows.recording[one])) for one in (copy.first, copy.second))
        return first is None or first != second

    near = [copy for copy in verified.copies if is_new(copy)]
    not_compared = set(windows.clip[candidates.pairs[verified.unheard]].ravel().tolist())
    # Without any sound only equal samples are known.
    heard = len(verified.unheard) < len(candidates.pairs) or not len(candidates.pairs)
    audited.judged["duplicate"] = len(audited.recordings) - len(not_compared) if heard else 0
    findings = []
    if equal:
        findings.append(same_samples(windows, same))
    if near:
        findings.append(near_copies(windows, group_copies(windows, near), candidates.left_out))
    if unheard := [copy for copy in _very_alike(candidates, verified.unheard) if is_new(copy)]:
        findings.append(unheard_candidates(windows, group_copies(windows, unheard), config.input_url is not None))
    if config.split is not None:
        findings += leakage(windows, group_copies(windows, [*equal, *near]), config.split)
    return findings


def equal_samples(audited: AuditedRun, windows: RecordedWindows) -> list[Copy]:
    """Windows of different recordings with the same samples, as `questions/same_samples.sql` finds them."""
    found = audited.connection.sql(question("same_samples")).to_arrow_table()
    number = {window_id: place for place, window_id in enumerate(windows.window_ids)} if len(found) else {}
    return [
        Copy(number[own], number[first], 1.0, 0.0)
        for own, first in zip(found["window_id"].to_pylist(), found["repeats_window_id"].to_pylist(), strict=True)
    ]


def near_candidates(audited: AuditedRun, windows: RecordedWindows) -> Candidates:
    """Find neighbouring windows with different samples, as pairs of window numbers."""
    chosen = windows.distinct()
    if len(chosen) < 2:
        return Candidates(np.zeros((0, 2), np.int64), np.zeros((0, 2), np.float32), 0)
    levels = audited.connection.sql("SELECT band_levels_dbfs FROM predictions ORDER BY window_id").to_arrow_table()
    shapes = spectral_shapes(rows_of(levels["band_levels_dbfs"])[chosen])
    found = find_candidates([audited.embeddings[chosen], shapes], windows.recording[chosen])
    return Candidates(chosen[found.pairs], found.similarity, found.left_out)


def _very_alike(candidates: Candidates, places: NDArray[np.int64]) -> list[Copy]:
    least = candidates.similarity[places].min(axis=1, initial=1.0)
    kept = least >= ALIKE
    pairs = zip(candidates.pairs[places[kept]].tolist(), least[kept].tolist(), strict=True)
    return [Copy(first, second, similarity, 0.0) for (first, second), similarity in pairs]
