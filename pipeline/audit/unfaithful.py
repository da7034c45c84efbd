"""Explanations that cannot be trusted, and the classes with many of them."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from pipeline.audit.audited import AuditedRun
from pipeline.audit.findings import Finding, Member
from pipeline.audit.proportion import proportion
from pipeline.audit.weight import STAKES, weigh
from schemas.audit_config import AuditConfig

# A class with at least this share of such recordings is a finding of its own; the others share one.
_MANY = 0.1
# As in the question: what is explained with less is no decision.
_SURE = 0.2
REST = "windows of other classes"
_SAID = {
    "rest_suffices": "without the kept part the classifier is as sure as before",
    "kept_fails": "the kept part alone is not called so",
    "written_differs": "the written audio is called something else than the masked spectrogram",
}


def unfaithful(about: AuditedRun, config: AuditConfig) -> list[Finding]:
    """Make a finding for each class whose explanations cannot be trusted in a tenth of its recordings.

    One more finding covers all other classes. `questions/unfaithful.sql` defines what counts.
    """
    asked = "SELECT count(DISTINCT clip_id) FROM faithfulness WHERE p >= ?"
    about.judged["unfaithful"] = sure = int(about.connection.execute(asked, [_SURE]).fetchall()[0][0])
    if sure < len(about.recordings):
        about.note(
            "unfaithful",
            f"not judged, as nothing is explained that has p of {_SURE} or more: "
            f"{len(about.recordings) - sure} of {len(about.recordings)} recordings",
        )
    by_target: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in about.ask("unfaithful"):
        by_target[row["target"]].append(row)
    rest: list[dict[str, Any]] = []
    findings = []
    for target, rows in by_target.items():
        clips = {row["clip_id"] for row in rows}
        if len(clips) >= _MANY * rows[0]["recordings"]:
            of = rows[0]["recordings"]
            findings.append(_finding(about, target, f"explanations of {target!r}", rows, of))
        else:
            rest += rows
    if rest:
        findings.append(_finding(about, REST, "explanations of other classes", rest, len(about.recordings)))
    return findings


def _said(row: dict[str, Any]) -> str:
    return "; ".join(said for name, said in _SAID.items() if row[name])


def _finding(about: AuditedRun, subject: str, of_what: str, rows: list[dict[str, Any]], of: int) -> Finding:
    rows = sorted(rows, key=lambda row: (-row["score"], row["window_id"], row["target"]))
    n = len({row["clip_id"] for row in rows})
    counts = {name: len({row["clip_id"] for row in rows if row[name]}) for name in _SAID}
    first = max(counts, key=lambda name: counts[name])
    many = f", in {counts[first]} of them" if counts[first] < n else ""
    members = [Member(row["clip_id"], row["window_id"], row["score"], _said(row)) for row in rows]
    return Finding(
        kind="unfaithful",
        subject=subject,
        statement=f"{of_what} cannot be trusted in {n} of {of} recordings{many}: {_SAID[first]}",
        n=n,
        share=n / of,
        weight=weigh(STAKES["unfaithful"], n / len(about.recordings)),
        effect=proportion(
            n, of, "of all recordings" if subject == REST else "of the recordings in which it is explained"
        ),
        evidence={"recordings": counts, "explanations": len(rows), "of": of},
        members=members,
    )
