"""Processes below one that the harness started: found by their descent, told apart by what Ray calls them."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable
from pathlib import Path


def parents() -> dict[int, int]:
    """The parent of each process that runs on this machine."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            fields = _fields(int(entry.name))
            if fields and fields[0] not in "ZX":
                found[int(entry.name)] = int(fields[1])
    return found


def descendants(pid: int) -> set[int]:
    """The processes below one, itself excluded."""
    known = parents()
    found: set[int] = set()
    fresh = {pid}
    while fresh:
        fresh = {child for child, parent in known.items() if parent in fresh} - found
        found |= fresh
    return found


def called(pids: Iterable[int], title: str) -> list[int]:
    """Those of the processes whose title, as Ray sets it for what they do, begins with `title`."""
    return sorted(pid for pid in pids if _title(pid).startswith(title))


def kill(pids: Iterable[int]) -> int:
    """SIGKILL to all; returns how many there still were."""
    return sum(send(pid, signal.SIGKILL) for pid in pids)


def send(pid: int, number: signal.Signals) -> bool:
    """Send a signal; False where the process is gone."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True


def _title(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().partition(b"\0")[0].decode("utf-8", "replace")
    except OSError:
        return ""


def _fields(pid: int) -> list[str]:
    """State, parent and so on, as behind the name in `stat`."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
