"""The findings of an audit, the windows that each is about, and their tables."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from schemas.audit_tables import FINDINGS, MEMBERS, Kind


@dataclass(frozen=True)
class Effect:
    """An effect size: the value, its 95% interval where it has one, and what it counts, in words."""

    value: float
    unit: str
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Member:
    """A window that a finding is about: larger scores show it more clearly; `suggestion` is what to do about it."""

    clip_id: str
    window_id: str
    score: float
    suggestion: str | None = None
    key: str = ""


@dataclass(frozen=True)
class Finding:
    """Something that is wrong, or stands out, with its evidence.

    `n` counts recordings; `share` is n as a share of those asked about. `p` is that of the test alone, None where
    nothing was tested; a question returns all that it tested, and the audit corrects for it, keeps what is still
    significant, and sets `p_adjusted`. `confirmed` is None where it was not tried on audio. A `candidate` is reported,
    but not claimed. `weight` comes from `weight.weigh`. `members` are sorted, the clearest first.
    """

    kind: Kind
    subject: str
    statement: str
    n: int
    share: float
    weight: float
    effect: Effect | None = None
    p: float | None = None
    p_adjusted: float | None = None
    confirmed: bool | None = None
    candidate: bool = False
    evidence: Mapping[str, Any] = field(default_factory=dict)
    members: Sequence[Member] = ()

    @property
    def id(self) -> str:
        """A stable id: equal for the same kind and subject in every audit."""
        return hashlib.sha256(f"{self.kind}\0{self.subject}".encode()).hexdigest()[:12]


def in_order(findings: Sequence[Finding]) -> list[Finding]:
    """Sort findings: the weightiest first, and candidates after all that is claimed."""
    return sorted(findings, key=lambda one: (one.candidate, -one.weight, one.kind, one.subject))


def tables_of(findings: Sequence[Finding]) -> dict[str, pa.Table]:
    """Findings as the tables `findings` and `members`."""
    ordered = in_order(findings)
    rows = [_row(one) for one in ordered]
    members = [{"finding": one.id, **vars(member)} for one in ordered for member in one.members]
    return {
        "findings": pa.Table.from_pylist(rows, schema=FINDINGS),
        "members": pa.Table.from_pylist(members, schema=MEMBERS),
    }


def _row(one: Finding) -> dict[str, Any]:
    effect = one.effect
    return {
        "finding": one.id,
        "kind": one.kind,
        "subject": one.subject,
        "statement": one.statement,
        "n": one.n,
        "share": one.share,
        "effect": effect and effect.value,
        "effect_low": effect and effect.low,
        "effect_high": effect and effect.high,
        "effect_unit": effect.unit if effect else "",
        "p_adjusted": one.p_adjusted,
        "confirmed": one.confirmed,
        "candidate": one.candidate,
        "weight": one.weight,
        "evidence": json.dumps(one.evidence, ensure_ascii=False, sort_keys=True),
    }
