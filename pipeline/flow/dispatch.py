"""The driver's loop: shards to actors, commits back, dead actors replaced, attempts counted."""

from __future__ import annotations

import re
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import ray
from ray.exceptions import RayActorError, RayError, RayTaskError

from pipeline.flow.actor import ExplainActor
from pipeline.flow.cluster import Crew
from pipeline.flow.plan import Work
from pipeline.storage.shards import printable
from schemas.records import CommitRecord, QuarantinedShard

_ESCAPES = re.compile(r"\x1b\[[0-9;]*m")  # colours of a terminal
# A wait this long ends only so that Ctrl-C is heard while nothing happens.
POLL_S = 1.0

# So long may a cluster take to find room for the first actor before people are told what it waits for.
PATIENCE_S = 60.0


class RunFailedError(Exception):
    """The run cannot go on: actors do not start."""


class Reporter(Protocol):
    """Told of what happens in a run, for people."""

    def committed(self, record: CommitRecord, before: float) -> None:
        """A part is written; `before` is the share of its shard that was done until then."""

    def note(self, text: str) -> None:
        """Something that people should know: an actor lost, a shard tried again."""


@dataclass(eq=False)
class _Slot:
    """An actor and the shards it works on."""

    actor: Any
    ready: bool = False
    node_id: str = ""
    streams: dict[Any, Work] = field(default_factory=dict)


class Dispatcher:
    """Hands out shards until all are done or given up.

    `start_actor` makes an actor; `arguments` are the input's root, the output, and the true labels; `refresh`
    reads from storage what is left of a shard, as an actor that died may have committed more than it told.
    """

    def __init__(
        self,
        crew: Crew,
        attempts: int,
        start_actor: Callable[[], Any],
        arguments: tuple[str, str, Any],
        refresh: Callable[[Work], Work | None],
        reporter: Reporter,
    ) -> None:
        self.crew, self.attempts, self.start_actor = crew, attempts, start_actor
        self.root_url, self.output_url, self.truth = arguments
        self.refresh, self.reporter = refresh, reporter
        self.charged: Counter[str] = Counter()
        self.failed_starts = 0
        self.patience_until: float | None = None
        self.starting: dict[Any, _Slot] = {}
        self.slots: list[_Slot] = []
        self.queue: deque[Work] = deque()
        self.quarantined: list[QuarantinedShard] = []

    def run(self, work: list[Work]) -> list[QuarantinedShard]:
        """Do the work; returns the shards that were given up after their attempts.

        Raises RunFailedError when as many actors in a row as a shard has attempts die before they are ready.
        """
        self.queue.extend(work)
        for _ in range(min(self.crew.actors, len(work))):
            self._start()
        self.patience_until = time.monotonic() + PATIENCE_S
        while self.queue or any(slot.streams for slot in self.slots):
            self._hand_out()
            streams = {stream: slot for slot in self.slots for stream in slot.streams}
            ready, _ = ray.wait([*self.starting, *streams], num_returns=1, timeout=POLL_S)
            if ready:
                self.patience_until = None
            elif self.patience_until is not None and time.monotonic() > self.patience_until:
                self.patience_until = None
                self.reporter.note(
                    f"still waiting for the first actor, which asks for {self.crew.cpus} CPUs and "
                    f"{self.crew.gpus} GPUs: if no node of the cluster has that many free, stop and give others"
                )
            for reference in ready:
                if reference in self.starting:
                    self._started(reference)
                else:
                    self._advance(streams[reference], reference)
        return self.quarantined

    def _start(self) -> None:
        slot = _Slot(self.start_actor())
        self.slots.append(slot)
        self.starting[slot.actor.ready.remote()] = slot

    def _started(self, reference: Any) -> None:
        slot = self.starting.pop(reference)
        try:
            slot.node_id = ray.get(reference)
            slot.ready = True
            self.failed_starts = 0
        except RayError as error:
            self.failed_starts += 1
            self.slots.remove(slot)
            if self.failed_starts >= self.attempts:
                raise RunFailedError(f"actors do not start, the last because: {_reason(error)}") from None
            self.reporter.note(f"an actor did not start, another is tried: {_reason(error)}")
            self._start()

    def _hand_out(self) -> None:
        # One stream for everyone before anyone gets a second.
        for level in range(self.crew.streams):
            for slot in self.slots:
                if self.queue and slot.ready and len(slot.streams) == level:
                    work = self.queue.popleft()
                    stream = slot.actor.explain_shard.options(num_returns="streaming").remote(
                        self.root_url,
                        self.output_url,
                        work.shard,
                        self.truth,
                        work.start,
                        work.first,
                        work.share,
                    )
                    slot.streams[stream] = work

    def _advance(self, slot: _Slot, stream: Any) -> None:
        if stream not in slot.streams:  # its actor was found dead a moment ago, through another stream
            return
        work = slot.streams[stream]
        try:
            record: CommitRecord = ray.get(next(stream))
        except StopIteration:
            del slot.streams[stream]
        except RayTaskError as error:
            del slot.streams[stream]
            self._again(work, _reason(error), charge=True)
        except RayError as error:  # of the actor, or of its node and what was stored there
            self._bury(slot, error)
        else:
            slot.streams[stream] = Work(work.shard, record.next, record.part + 1, record.share)
            # Attempts are counted at one place of a shard: a long one may well meet several unrelated faults.
            del self.charged[work.shard.shard_id]
            self.reporter.committed(record, work.share)

    def _bury(self, slot: _Slot, error: RayError) -> None:
        ray.kill(slot.actor)  # it may only be out of reach, and would write beside the one that takes its place
        alive = any(node["Alive"] and node["NodeID"] == slot.node_id for node in ray.nodes())
        cause = "its process died" if alive else "its node was lost"
        self.reporter.note(f"an actor was lost ({cause}), another takes its place")
        self.slots.remove(slot)
        for work in slot.streams.values():
            # A node that goes down is no fault of the shard that was being read there.
            self._again(work, f"{cause}: {_reason(error)}", charge=alive)
        slot.streams.clear()
        self._start()

    def _again(self, work: Work, reason: str, charge: bool) -> None:
        shard = work.shard
        # The record goes into storage, where a path of this machine has no business.
        for place, name in ((self.output_url, "OUTPUT"), (self.root_url, "INPUT")):
            reason = reason.replace(place, name)
        shown = printable(shard.uri) or shard.shard_id  # loose files have no place in common
        self.charged[shard.shard_id] += charge
        rest = self.refresh(work)
        if rest is None:
            return
        if self.charged[shard.shard_id] >= self.attempts:
            self.reporter.note(f"{shown}: given up after {self.attempts} attempts: {reason}")
            self.quarantined.append(
                QuarantinedShard(
                    shard_id=shard.shard_id,
                    uri=shown,
                    attempts=self.charged[shard.shard_id],
                    reason=reason,
                )
            )
            return
        self.reporter.note(f"{shown}: tried again from part {rest.first}: {reason}")
        self.queue.append(rest)


def make_starter(crew: Crew, *arguments: Any) -> Callable[[], Any]:
    """A function that starts an ExplainActor of the crew's size; it is replaced, never restarted by Ray."""
    remote = ray.remote(ExplainActor).options(
        num_cpus=crew.cpus,
        num_gpus=crew.gpus,
        max_restarts=0,
        max_task_retries=0,
        max_concurrency=crew.streams + 1,
    )
    return lambda: remote.remote(*arguments)


def _reason(error: RayError) -> str:
    if isinstance(error, RayActorError) and error.actor_init_failed:
        # What was raised stands in text only, below a traceback.
        return re.sub(r"^[\w.]*\.", "", _ESCAPES.sub("", str(error)).strip().splitlines()[-1])
    cause = error.cause if isinstance(error, RayTaskError) and error.cause is not None else error
    line = _ESCAPES.sub("", str(cause)).strip().splitlines()
    return f"{type(cause).__name__}: {line[0] if line else 'no message'}"
