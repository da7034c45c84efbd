"""One run under one schedule: the command again and again until it succeeds, while its faults strike."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.faults.bench import Bench
from tests.faults.cluster import NODES, workers_of
from tests.faults.compare import Difference, compare
from tests.faults.dataset import BAD, POISONED
from tests.faults.disk import SmallDisk, small_disk
from tests.faults.driver import STALL_S, Driver, committed
from tests.faults.schedule import Fault, Schedule

_POLL_S, _LOOK_S = 0.04, 0.4
# So often is a command tried beyond the times that faults are expected to end it.
_SPARE = 3
_FULL = "No space left on device"


@dataclass
class Outcome:
    """What became of a schedule; `problems` is all that is not a difference in the tables."""

    schedule: Schedule
    seconds: float = 0.0
    commands: int = 0
    missed: list[Fault] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    difference: Difference = field(default_factory=Difference)

    @property
    def sound(self) -> bool:
        """Whether nothing is wrong; a fault that came too late is no wrong."""
        return not self.problems and not self.difference


class Trial:
    """A run that is being disturbed; what strikes it is in `tests.faults.strikes`."""

    def __init__(self, bench: Bench, schedule: Schedule, strike: Callable[[Trial, Fault], bool]) -> None:
        self.bench, self.schedule = bench, schedule
        self.problems: list[str] = []
        # A node that joined late, until it is seen to work.
        self.idle: Any = None
        self.expected_ends = 0
        self.driver: Driver
        name = f"{schedule.seed:04d}"
        self._poisoned = "poison-recordings" in schedule.kinds
        self._source = bench.dataset.poisoned if self._poisoned else bench.dataset.clean
        self.output: Path = bench.output(schedule.store, name)
        self._command = bench.command(schedule.store, self._source, name, schedule.pool)
        self._log = bench.log(name)
        self._strike = strike
        self._disk: SmallDisk | None = None
        self._look_at = 0.0
        self._due: list[tuple[float, Callable[[], object]]] = []

    def run(self) -> Outcome:
        """Run it to its end, and hold what it wrote against the calm run; raises NoSmallDiskError."""
        begun = time.monotonic()
        outcome = Outcome(self.schedule, problems=self.problems)
        with ExitStack() as stack:
            self.bench.nodes.have(1 if "node-joins-late" in self.schedule.kinds else NODES)
            if "disk-full" in self.schedule.kinds:
                self._disk = stack.enter_context(small_disk(self.output, _size(self.bench.calm) // 2))
            pending = deque(
                fault for fault in self.schedule.faults if fault.kind not in ("poison-recordings", "disk-full")
            )
            stack.callback(self._settle)
            while True:
                outcome.commands += 1
                if self._once(pending, outcome):
                    break
                if outcome.commands > self.expected_ends + _SPARE:
                    self.problems.append(f"not finished after {outcome.commands} commands: {self.last_line()}")
                    break
            outcome.missed += pending
            if self.idle is not None and not self.expected_ends:
                self.problems.append("the node that joined late was not used")
            elif self.idle is not None:
                # What is left to a command that goes on may have room on one node.
                outcome.missed += [fault for fault in self.schedule.faults if fault.kind == "node-joins-late"]
            if outcome.commands > self.expected_ends + 1:
                self.problems.append(f"the command had to be given {outcome.commands} times")
            if (self.output / "_SUCCESS").exists():
                outcome.difference = self._compare()
            else:
                self.problems.append("no _SUCCESS")
        outcome.seconds = time.monotonic() - begun
        return outcome

    def later(self, seconds: float, action: Callable[[], object]) -> None:
        """Do something in so many seconds."""
        self._due.append((time.monotonic() + seconds, action))

    def find(self, look: Callable[[], Any], timeout_s: float = 30.0) -> Any:
        """What `look` finds, as soon as it finds something; None when the command ends or the time is over."""
        deadline = time.monotonic() + timeout_s
        while self.driver.code is None and time.monotonic() < deadline:
            if found := look():
                return found
            time.sleep(_POLL_S)
        return None

    def _once(self, pending: deque[Fault], outcome: Outcome) -> bool:
        """Give the command once, and let strike what is due; returns whether there is no more to do."""
        # A command that begins while there is one node less is refused, where its actors would leave no CPU to decode.
        self._act(float("inf"))
        self.driver = Driver(self._command, self._log)
        ripe: float | None = None
        done, since = 0, time.monotonic()
        while self.driver.code is None:
            self._act()
            if (parts := committed(self.output)) != done:
                done, since = parts, time.monotonic()
            if pending and ripe is None and done >= pending[0].at:
                ripe = time.monotonic() + pending[0].lag
            if ripe is not None and time.monotonic() >= ripe:
                fault, ripe = pending.popleft(), None
                if not self._strike(self, fault):
                    outcome.missed.append(fault)
            if time.monotonic() - since > STALL_S:
                self.driver.kill()
                self.problems.append(f"nothing committed for {STALL_S:.0f} s: {self.last_line()}")
                return True
            time.sleep(_POLL_S)
        if self.driver.code == 0:
            return True
        if self._disk is not None:
            self._make_room()
        return False

    def _compare(self) -> Difference:
        poisoned = POISONED if self._poisoned else ()
        return compare(
            self.output, self.bench.calm, self._source, {**BAD, **dict.fromkeys(poisoned, "crashed")}, poisoned
        )

    def _settle(self) -> None:
        self.driver.kill()  # which still runs if the trial itself was stopped
        self.bench.s3.calm()
        self._act(float("inf"))

    def _act(self, now: float | None = None) -> None:
        now = now or time.monotonic()
        for entry in [entry for entry in self._due if entry[0] <= now]:
            self._due.remove(entry)
            entry[1]()
        if self.idle is not None and now >= self._look_at:
            self._look_at = now + _LOOK_S
            if works_on(self.idle):
                self.idle = None

    def _make_room(self) -> None:
        if _FULL in self.driver.printed() and self._disk is not None:
            self._disk.grow(1 << 30)
            self._disk = None
            self.expected_ends += 1

    def last_line(self) -> str:
        """What the command printed last."""
        return (self.driver.printed().strip().splitlines() or ["nothing printed"])[-1]


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def works_on(node: Any) -> bool:
    """Whether a node has been given something to do."""
    return any(workers_of(node, f"ray::{name}") for name in ("ExplainActor", "decode_shard", "write_part"))
