"""What is wrong with a run: counted by kind, and the first few of each kind named."""

from __future__ import annotations

from dataclasses import dataclass

SHOWN = 20


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong: its kind, its file, the key of the row ("" for a whole file), and a message."""

    kind: str
    file: str
    key: str
    message: str


class Findings:
    """Findings by kind, in the order in which they were added; at most `SHOWN` of a kind are kept, all are counted."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self.shown: dict[str, list[Finding]] = {}

    def add(self, kind: str, file: str, message: str, key: str = "") -> None:
        """Count one more of a kind, and keep it if there is room."""
        self.counts[kind] = self.counts.get(kind, 0) + 1
        kept = self.shown.setdefault(kind, [])
        if len(kept) < SHOWN:
            kept.append(Finding(kind, file, key, message))

    def take(self, other: Findings) -> None:
        """Add all findings of another instance."""
        for kind, count in other.counts.items():
            self.counts[kind] = self.counts.get(kind, 0) + count
            kept = self.shown.setdefault(kind, [])
            kept += other.shown[kind][: SHOWN - len(kept)]

    def __len__(self) -> int:
        return sum(self.counts.values())
