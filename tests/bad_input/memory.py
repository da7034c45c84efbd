"""The most memory that the decoders below a process have held, read from Linux's /proc while they live."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_EVERY_S = 0.1
_DECODER = b"pipeline.audio.decoder_main"


@contextmanager
def watched_decoders(root: int) -> Iterator[dict[int, int]]:
    """Bytes by process id, of the decoders among the descendants of the process `root`, while it is entered."""
    peaks: dict[int, int] = {}
    done = threading.Event()

    def watch() -> None:
        while not done.wait(_EVERY_S):
            for pid in _descendants(root):
                if _DECODER in _read(pid, "cmdline"):
                    peak = re.search(rb"VmHWM:\s+(\d+)", _read(pid, "status"))
                    peaks[pid] = max(peaks.get(pid, 0), 1024 * int(peak[1]) if peak else 0)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield peaks
    finally:
        done.set()
        thread.join()


def _descendants(root: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            fields = _read(int(entry.name), "stat").rpartition(b")")[2].split()
            if len(fields) > 1:
                children.setdefault(int(fields[1]), []).append(int(entry.name))
    found, todo = [], [root]
    while todo:
        below = children.get(todo.pop(), [])
        found += below
        todo += below
    return found


def _read(pid: int, name: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:  # it has ended since
        return b""
