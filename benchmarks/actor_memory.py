"""The most memory that the processes of a run have held at once, read from Linux's /proc while they live."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
# As Ray titles the processes of its actors, whatever they are doing.
TITLE = b"ray::ExplainActor"
EVERY_S = 0.2


@dataclass(frozen=True)
class Peak:
    """Bytes that a process has held at most: all that was resident, and of shared memory alone, the object store's.

    The first is the kernel's own high-water mark (VmHWM), which misses no moment but those of the last 0.2 s; the
    second is the largest of what was seen five times a second.
    """

    resident: int = 0
    shared: int = 0


@contextmanager
def watched_actors() -> Iterator[dict[int, Peak]]:
    """Peaks by process id, of actors that this process's Ray starts, kept up to date while it is entered.

    Raises FileNotFoundError where there is no /proc.
    """
    if not (PROC / "self" / "status").exists():
        raise FileNotFoundError("peaks of memory are read from /proc, which is not there: run this on Linux")
    peaks: dict[int, Peak] = {}
    done = threading.Event()

    def watch() -> None:
        while not done.wait(EVERY_S):
            for process in _actors():
                before, now = peaks.get(process, Peak()), _status(process)
                peaks[process] = Peak(
                    max(before.resident, 1024 * now.get("VmHWM", 0)), max(before.shared, 1024 * now.get("RssShmem", 0))
                )

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield peaks
    finally:
        done.set()
        thread.join()


def peaks_below(driver: int) -> dict[str, int]:
    """Bytes resident at most, so far, of a run's driver, and of the largest actor, task and decoder below it."""
    found: dict[str, int] = {}
    for process in _processes():
        title = _title(process)
        if process == driver:
            role = "driver"
        elif not _is_below(process, driver):
            continue
        elif title.startswith(TITLE):
            role = "actor"
        elif title.startswith(b"ray::"):
            role = "task"
        elif _title(_parent(process)).startswith(b"ray::"):
            role = "decoder"
        else:
            continue
        found[role] = max(found.get(role, 0), 1024 * _status(process).get("VmHWM", 0))
    return found


def _processes() -> list[int]:
    return [int(entry.name) for entry in PROC.iterdir() if entry.name.isdecimal()]


def _actors() -> list[int]:
    titled = {process for process in _processes() if _title(process).startswith(TITLE)}
    # What an actor forks bears its title until it becomes another program.
    return [process for process in titled if _parent(process) not in titled and _is_below(process, os.getpid())]


def _title(process: int) -> bytes:
    try:
        return (PROC / str(process) / "cmdline").read_bytes()
    except OSError:  # it has ended since
        return b""


def _parent(process: int) -> int:
    return _status(process).get("PPid", 0)


def _is_below(process: int, ancestor: int) -> bool:
    while process > 1 and process != ancestor:
        process = _parent(process)
    return process == ancestor


def _status(process: int) -> dict[str, int]:
    try:
        text = (PROC / str(process) / "status").read_text()
    except OSError:  # it has ended since
        return {}
    return {name: int(number) for name, number in re.findall(r"^(PPid|VmHWM|RssShmem):\s+(\d+)", text, re.MULTILINE)}
