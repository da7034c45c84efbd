"""Suspects of a wrong speed."""

from __future__ import annotations

from typing import Any

from pipeline.audit.audited import AuditedRun


def wrong_speed(about: AuditedRun) -> list[dict[str, Any]]:
    return []
