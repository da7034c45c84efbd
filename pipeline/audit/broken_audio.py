"""Recordings whose signal is broken: silent, clipped, with gaps, low-passed, far too loud, or at a wrong speed."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np

from pipeline.audit.audited import AuditedRun
from pipeline.audit.findings import Finding, Member
from pipeline.audit.proportion import proportion
from pipeline.audit.speed import wrong_speed
from pipeline.audit.weight import CANDIDATE, STAKES, weigh
from schemas.audit_config import AuditConfig

# What a finding says of `n` recordings, and what may be the cause.
_SAID = {
    "silent": "{n} without any sound above -60 dBFS",
    "clipped": "{n} clipped: peaks are cut off flat or at full scale",
    "dc_offset": "{n} with a constant offset, as a faulty input leaves it",
    "dropout": "{n} with gaps without any signal in the middle of sound",
    "band_limited": "{n} low-passed: the spectrum ends far below the rest and below what the sample rate allows",
    "level": "{n} far louder or softer than the rest",
    "wrong_speed": "{n} may be played too fast or too slow, by their length or spectrum compared with the others'",
}


def broken_audio(about: AuditedRun, config: AuditConfig) -> list[Finding]:
    """Make a finding for each kind of fault, about the recordings that have it; `score` is 1 at the bound.

    `questions/broken_audio.sql` finds all faults but a wrong speed, and states the bounds.
    """
    by_fault: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in about.ask("broken_audio"):
        by_fault[row["fault"]].append(row)
    slow, suspects = _told_apart(wrong_speed(about), by_fault)
    by_fault["band_limited"] = [row for row in by_fault["band_limited"] if row["clip_id"] not in slow]
    by_fault["wrong_speed"] = suspects
    for fault, rows in by_fault.items():
        by_fault[fault] = [row for row in rows if row["clip_id"] not in about.found_right]
    return [_finding(about, fault, rows) for fault, rows in by_fault.items() if rows]


def _finding(about: AuditedRun, fault: str, rows: list[dict[str, Any]]) -> Finding:
    rows = sorted(rows, key=lambda row: (-row["score"], row["clip_id"]))
    n, of = len(rows), len(about.recordings)
    measured = [row["measured"] for row in rows]
    members = [
        Member(row["clip_id"], row["window_id"], row["score"], f"{_number(row['measured'])} {row['unit']}")
        for row in rows
    ]
    certainty = CANDIDATE if fault == "wrong_speed" else 1.0
    return Finding(
        kind="broken_audio",
        subject=fault,
        statement=_SAID[fault].format(n=f"{n} recording{'s' * (n != 1)}"),
        n=n,
        share=n / of,
        weight=weigh(STAKES["broken_audio"], n / of, certainty),
        effect=proportion(n, of, "of all recordings"),
        evidence={
            "measured": {"unit": rows[0]["unit"], "from": min(measured), "median": float(np.median(measured))}
            | {"to": max(measured)},
            "of": of,
        },
        members=members,
    )


def _told_apart(
    suspects: list[dict[str, Any]], by_fault: dict[str, list[dict[str, Any]]]
) -> tuple[set[str], list[dict[str, Any]]]:
    """The recordings whose spectrum ends low because they are too slow, and the suspects of a wrong speed.

    A slowed-down recording ends lower without being low-passed. But if a suspect by spectrum alone has another fault
    of the signal, that fault explains its strange spectrum.
    """
    broken = {row["clip_id"] for fault in ("silent", "clipped", "band_limited") for row in by_fault[fault]}
    kept = [row for row in suspects if row["by"] == "length" or row["clip_id"] not in broken]
    return {row["clip_id"] for row in kept if row["by"] == "length" and row["measured"] < 1}, kept


def _number(value: float) -> str:
    """Format with three significant digits and no exponent.

    >>> _number(8937.5), _number(0.01234)
    ('8940', '0.0123')
    """
    return f"{float(f'{value:.3g}'):.10g}"
