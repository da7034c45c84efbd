"""Where the time of a run goes: spans of work, taken where it is done, and written for a trace viewer."""

from __future__ import annotations

import json
import os
import platform
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TypeVar

Item = TypeVar("Item")

# Those of a process that nobody has fetched yet, None while nothing is traced; and what the process does.
_spans: deque[Span] | None = None
_role = ""
# A process whose spans are not fetched keeps the newest.
_KEPT = 100_000
# A viewer takes no more, and 100 bytes each are 100 MB.
_MOST = 1_000_000


# A run keeps a million of them.
@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of work of a thread: its name, when it began, in seconds since 1970, and how many it took.

    `node` and `process` say where: numbers of processes repeat between machines and containers.
    """

    name: str
    start_s: float
    seconds: float
    node: str
    process: int
    thread: int
    role: str


def trace(on: bool, role: str) -> None:
    """Take spans in this process, whose role is said in a word, from now on, or no longer."""
    global _spans, _role
    _role = role
    if on != (_spans is not None):
        _spans = deque(maxlen=_KEPT) if on else None


@contextmanager
def span(name: str) -> Iterator[None]:
    """Take what is done inside as a span, if this process is traced."""
    taken = _spans
    if taken is None:
        yield
        return
    start, clock = time.time(), time.perf_counter()
    try:
        yield
    finally:
        seconds = time.perf_counter() - clock
        taken.append(Span(name, start, seconds, platform.node(), os.getpid(), threading.get_native_id(), _role))


def spans_of_items(name: str, items: Iterator[Item]) -> Iterator[Item]:
    """Yield the items of an iterator; the wait for each is a span."""
    while True:
        with span(name):
            got = list(islice(items, 1))
        if not got:
            return
        # Nothing is kept of it here: what the caller lets go of is free.
        yield got.pop()


def fetch_spans() -> tuple[Span, ...]:
    """The spans of this process since the last time, oldest first; empty where nothing is traced."""
    fetched = []
    while _spans:
        fetched.append(_spans.popleft())
    return tuple(fetched)


class Trace:
    """The spans of a whole run: the first million, and how many more there were."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.left_out = 0

    def take(self, spans: Sequence[Span]) -> None:
        """Add spans."""
        room = max(0, _MOST - len(self.spans))
        self.spans += spans[:room]
        self.left_out += max(0, len(spans) - room)

    def write(self, path: Path) -> None:
        """Write them as a JSON file for Perfetto (ui.perfetto.dev) or chrome://tracing, a row for each thread.

        Raises OSError where it cannot be written.
        """
        first = min((one.start_s for one in self.spans), default=0.0)
        roles = {(one.node, one.process): one.role for one in self.spans}
        number = {place: count for count, place in enumerate(sorted(roles), start=1)}
        names: list[dict[str, object]] = [
            {"name": "process_name", "ph": "M", "pid": number[place], "args": {"name": f"{role} on {place[0]}"}}
            for place, role in sorted(roles.items())
        ]
        events: list[dict[str, object]] = [
            {
                "name": one.name,
                "ph": "X",
                "ts": round(1e6 * (one.start_s - first), 1),
                "dur": round(1e6 * one.seconds, 1),
                "pid": number[one.node, one.process],
                "tid": one.thread,
            }
            for one in self.spans
        ]
        told = {"spans": len(self.spans), "left_out": self.left_out}
        path.write_text(json.dumps({"traceEvents": [*names, *events], "otherData": told}), encoding="utf-8")
