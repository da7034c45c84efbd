"""How a finding's recordings are distributed over the groups of a metadata column."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from pipeline.audit.audited import AuditedRun
from pipeline.audit.findings import Finding

_SHOWN = 10


def with_groups(about: AuditedRun, finding: Finding, columns: Sequence[str]) -> Finding:
    """Add to a finding's evidence, for each column, how many recordings of each group are among its members.

    Each group has the number of its recordings in the finding and in total; the highest shares come first.
    """
    members = {member.clip_id for member in finding.members}
    told: dict[str, Any] = {}
    for column in columns:
        values = dict(zip(about.recordings, about.column(column), strict=True))
        of = Counter(value for value in values.values() if value is not None)
        among = Counter(value for clip_id in members if (value := values.get(clip_id)) is not None)
        first = sorted(among, key=lambda value: (-among[value] / of[value], value))[:_SHOWN]
        told[column] = {value: {"n": among[value], "of": of[value]} for value in first}
    return replace(finding, evidence={**finding.evidence, "by_group": told}) if told else finding
