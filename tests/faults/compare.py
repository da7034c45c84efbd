"""A run that was disturbed against one that was not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.runs.verify.verify import verify
from tests.flow.make import rows
from tests.flow.meddle import PER_WINDOW


@dataclass
class Difference:
    """Windows that a table lacks, has twice, or has otherwise; and what else is not as it should be, in words."""

    lost: int = 0
    doubled: int = 0
    wrong: int = 0
    words: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.lost or self.doubled or self.wrong or self.words)


def compare(output: Path, calm: Path, source: str, errors: Mapping[str, str], without: Collection[str]) -> Difference:
    """Hold a finished run against a calm one of the same recordings, and read it again as `lmac verify` does.

    `errors` is the reason for each key that cannot be used, `without` are the keys that only the calm run could use.
    """
    found = Difference()
    there, expected = (_windows(run) for run in (output, calm))
    gone = {row["clip_id"] for row in expected["predictions"] if row["key"] in without}
    for name in PER_WINDOW:
        counts = Counter(row["window_id"] for row in there[name])
        wanted = {row["window_id"]: row for row in expected[name] if row["clip_id"] not in gone}
        found.lost += len(wanted.keys() - counts.keys())
        found.doubled += sum(count - 1 for count in counts.values())
        found.wrong += sum(
            1 for row in there[name] if row["window_id"] not in wanted or _differs(row, wanted[row["window_id"]])
        )
    told = Counter((row["key"], row["reason"]) for row in rows(output, "errors"))
    for key, reason in sorted(told.keys() | errors.items()):
        if told[key, reason] != ((key, reason) in errors.items()):
            found.words.append(f"errors have {key} as {reason} {told[key, reason]} times")
    found_by_verify = verify(str(output), source)
    if not found_by_verify.finished:
        found.words.append("the run is not finished")
    for kind, count in found_by_verify.findings.counts.items():
        first = found_by_verify.findings.shown[kind][0]
        found.words.append(f"verify: {count} {kind}, {first.file}: {first.message}")
    return found


def _windows(output: Path) -> dict[str, list[dict[str, Any]]]:
    return {name: rows(output, name) for name in PER_WINDOW}


def _differs(row: dict[str, Any], other: dict[str, Any]) -> bool:
    if any(row.get(name) != other.get(name) for name in ("clip_id", "label", "target")):
        return True
    if "mask" not in row:
        return False
    one, two = (np.frombuffer(each["mask"], np.uint8).astype(int) for each in (row, other))
    return one.shape != two.shape or int(np.abs(one - two).max()) > 1
