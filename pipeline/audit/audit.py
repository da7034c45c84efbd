"""Audit a run: ask every question in turn, and write the findings beside the run's tables."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from importlib import metadata
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.audit.audited import AuditedRun
from pipeline.audit.broken_audio import broken_audio
from pipeline.audit.correction import corrected
from pipeline.audit.duplicates import duplicates
from pipeline.audit.findings import Finding, in_order, tables_of
from pipeline.audit.given_labels import given_labels
from pipeline.audit.groups import with_groups
from pipeline.audit.label_error import label_error
from pipeline.audit.marks import Mark, load_marks, marked_labels, note_odd_marks, reviewed_table
from pipeline.audit.odd_one_out import odd_one_out
from pipeline.audit.shortcuts.question import shortcut
from pipeline.audit.typical import typical
from pipeline.audit.unfaithful import unfaithful
from pipeline.runs.output import AUDIT, RunOutput
from pipeline.runs.run import Run, open_run
from schemas.audit_config import AuditConfig
from schemas.audit_tables import AUDIT_TABLES, LABELS, Kind
from schemas.yaml_config import load_config

# Returns its findings; tested ones have a raw `p`. Every test is among them or counted in the run's `tests`.
Question = Callable[[AuditedRun, AuditConfig], list[Finding]]
QUESTIONS: dict[Kind, Question] = {
    "label_error": label_error,
    "shortcut": shortcut,
    "duplicate": duplicates,
    "broken_audio": broken_audio,
    "unfaithful": unfaithful,
    "odd_one_out": odd_one_out,
    "typical": typical,
}
REVIEWED = f"{AUDIT}/reviewed.csv"

Step = Callable[[str, int, int], object]


@dataclass(frozen=True)
class Audit:
    """The findings of an audit, the weightiest first; `recordings` counts the run's, `asked` are the kinds asked about.

    `notes` say, by kind, what could not be determined, and why; `judged` how many recordings could be judged, by those
    kinds that may not judge all.
    """

    findings: list[Finding]
    recordings: int
    asked: tuple[Kind, ...]
    notes: dict[Kind, list[str]] = field(default_factory=dict)
    judged: dict[Kind, int] = field(default_factory=dict)

    def judged_by(self, kind: Kind) -> int:
        """Count the recordings that a kind could judge."""
        return self.judged.get(kind, self.recordings)

    def concerned(self, kind: Kind) -> int:
        """Count the recordings that findings of a kind are about: each counts once, candidates do not count."""
        found = [one for one in self.findings if one.kind == kind and not one.candidate]
        members = {member.clip_id for one in found for member in one.members}
        # The members of a finding may be only examples.
        return max([len(members), *(one.n for one in found)])

    def share(self, kind: Kind) -> float:
        """Return `concerned(kind)` as a share of all recordings."""
        return self.concerned(kind) / self.recordings if self.recordings else 0.0


def audit(
    run: str | os.PathLike[str],
    config: AuditConfig | None = None,
    *,
    step: Step = lambda what, done, of: None,
    **settings: Any,
) -> Audit:
    """Ask what is wrong with a run's dataset and classifier, and write the findings to `audit/` in its output.

    `settings` are fields of `AuditConfig` by name and override `config`. The p values of all tests of an audit are
    corrected together (Benjamini and Hochberg); what is not significant then is not a finding. The tables `findings`,
    `members` and `labels` in `audit/` replace those of an earlier audit; with `reviewed` marks, `audit/reviewed.csv`
    is a table of labels to train with. `step` is called with the question being asked, the number of questions
    answered, and the number of all.
    Raises ConfigError for a setting that does not fit, StorageError if there is no finished run or it cannot be
    written to, InputError for a table of labels or marks, and AuditError for a column that no recording has.

    >>> from lmac import audit
    >>> found = audit("explained", split="fold")  # doctest: +SKIP
    >>> [(one.kind, one.statement) for one in found.findings[:3]]  # doctest: +SKIP
    """
    options = {**(config.model_dump(exclude_unset=True) if config else {}), **settings}
    config = load_config(AuditConfig, None, options)
    opened = open_run(run)
    about, marks = _opened(opened, config)
    for name in (*config.group_by, *([config.split] if config.split is not None else [])):
        about.column(name)
    asked = tuple(kind for kind in QUESTIONS if kind in config.kinds)
    output = RunOutput(opened.url)
    if config.reviewed is None and "label_error" in asked and output.exists(REVIEWED):
        about.note("label_error", f"{REVIEWED} is of an earlier audit: pass its marks with --reviewed to write it anew")
    found: list[Finding] = []
    # Where no recording could be explained there is nothing to ask about: the run's errors say why.
    for number, kind in enumerate(asked if about.recordings else ()):
        step(kind, number, len(asked))
        about.progress = partial(_inside, step, kind, number, len(asked))
        found += QUESTIONS[kind](about, config)
    step("writing", len(asked), len(asked))
    findings = in_order([with_groups(about, one, config.group_by) for one in corrected(found, about.tests)])
    findings = _with_keys(about, findings)
    result = Audit(findings, len(about.recordings), asked, dict(about.notes), dict(about.judged))
    _write(output, result, about, config)
    if marks:
        output.write_bytes(REVIEWED, reviewed_table(about, marks).encode())
    return result


def _with_keys(about: AuditedRun, findings: Sequence[Finding]) -> list[Finding]:
    keys = dict(zip(about.recordings, about.of_recordings(about.windows["key"].to_pylist()), strict=True))
    return [
        replace(one, members=[replace(member, key=keys[member.clip_id]) for member in one.members]) for one in findings
    ]


def _inside(step: Step, kind: str, done: int, of: int, what: str) -> None:
    step(f"{kind}: {what}", done, of)


def _opened(run: Run, config: AuditConfig) -> tuple[AuditedRun, dict[str, Mark]]:
    """The run with the labels that apply: a person's, else those of the table passed, else its own."""
    given = given_labels(run, config.reading())
    about = AuditedRun(run, given.labels, columns=given.columns)
    if config.reviewed is None:
        return about, {}
    marks = load_marks(config.reviewed)
    labels = marked_labels(about, marks)
    right = frozenset(clip_id for clip_id, mark in marks.items() if mark.mark == "right")
    relabelled = frozenset(clip_id for clip_id, mark in marks.items() if mark.mark == "wrong" and mark.label)
    marked = AuditedRun(run, labels, right, relabelled, given.columns)
    note_odd_marks(marked, about, marks)
    return marked, marks


def _write(output: RunOutput, result: Audit, audited: AuditedRun, config: AuditConfig) -> None:
    # No paths: they may be this machine's.
    settings = config.model_dump(mode="json", exclude={"labels", "input_url", "explainer", "reviewed"})
    about = {
        "lmac_version": metadata.version("lmac"),
        "recordings": result.recordings,
        "asked": result.asked,
        "notes": result.notes,
        "judged": result.judged,
        "settings": settings,
        "manifest": audited.run.manifest.files.sha256,
    }
    tables = {**tables_of(result.findings), "labels": _labels_of(audited)}
    # The findings last: whoever reads one finds its members.
    for name in AUDIT_TABLES:
        output.write_bytes(f"{AUDIT}/{name}.parquet", _parquet(tables[name], about))


def _labels_of(audited: AuditedRun) -> pa.Table:
    """The labels that replaced the run's own, for whoever shows the findings."""
    if not audited.takes_other_labels:
        return LABELS.empty_table()
    labels = audited.of_recordings(audited.labels)
    return pa.table({"clip_id": audited.recordings, "labels": labels}, schema=LABELS)


def _parquet(table: pa.Table, about: dict[str, Any]) -> bytes:
    buffer = io.BytesIO()
    told = {**table.schema.metadata, "audit": json.dumps(about, ensure_ascii=False)}
    pq.write_table(table.replace_schema_metadata(told), buffer, compression="zstd")
    return buffer.getvalue()
