"""The driver's loop: shards to actors, commits back, the crew kept at its strength, attempts counted."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import ray
from ray.exceptions import RayError, RayTaskError

from pipeline.flow import nodes
from pipeline.flow.actor import ExplainActor
from pipeline.flow.attempts import Attempts, is_of_ray, reason_of
from pipeline.flow.cluster import Crew
from pipeline.flow.plan import Work
from pipeline.flow.stop import Stop
from pipeline.inputs.shards import printable
from schemas.errors import LmacError
from schemas.records import CommitRecord, QuarantinedShard

# A wait this long ends only so that signals, the lease and the nodes are looked at while nothing happens.
POLL_S = 1.0
LOOK_S = 2.0

# So long may a cluster take to find room for an actor before people are told what it waits for.
PATIENCE_S = 60.0


class RunFailedError(LmacError):
    """The run cannot go on: actors do not start."""


class Reporter(Protocol):
    """Told of what happens in a run, for people."""

    def committed(self, record: CommitRecord, before: float) -> None:
        """A part is written; `before` is the share of its shard that was done until then."""

    def note(self, text: str) -> None:
        """Something that people should know: an actor lost, a shard tried again."""


@dataclass
class _Hand:
    """A shard in an actor's hands: what is left of it (None: all is committed), and the nodes when it was given out."""

    work: Work
    left: Work | None
    nodes: frozenset[str]


@dataclass(eq=False)
class _Slot:
    """An actor and the shards it works on; one that leaves gets no more."""

    actor: Any
    ready: bool = False
    leaving: bool = False
    node_id: str = ""
    streams: dict[Any, _Hand] = field(default_factory=dict)


class Dispatcher:
    """Hands out shards until all are done or given up.

    `start_actor` makes an actor; `arguments` are the input's root, the output, and the labels; `refresh`
    reads from storage what is left of a shard, as an actor that died may have committed more than it told. Nothing is
    handed out once `stop` is asked for, nor while `may_go_on` is False.
    """

    def __init__(
        self,
        crew: Crew,
        attempts: int,
        start_actor: Callable[[], Any],
        arguments: tuple[str, str, Any],
        refresh: Callable[[Work], Work | None],
        reporter: Reporter,
        stop: Stop,
        may_go_on: Callable[[], bool],
    ) -> None:
        self.crew, self.start_actor = crew, start_actor
        self.root_url, self.output_url, self.labels = arguments
        self.refresh, self.reporter = refresh, reporter
        self.stop, self.may_go_on = stop, may_go_on
        self.most_starts, self.attempts = attempts, Attempts(attempts)
        self.failed_starts = 0
        self.strength = crew.actors
        self.nodes, self.next_look = nodes.Nodes(), 0.0
        self.last_ready = time.monotonic()
        self.patient_until = self.last_ready + PATIENCE_S
        self.starting: dict[Any, _Slot] = {}
        self.slots: list[_Slot] = []
        self.queue: deque[Work] = deque()
        self.quarantined: list[QuarantinedShard] = []

    def run(self, work: list[Work]) -> list[QuarantinedShard]:
        """Do the work; returns the shards that were given up after their attempts.

        Once it is asked to stop, the parts in hand are finished; then what is left in `queue` was not done.
        Raises RunFailedError when as many actors in a row as a shard has attempts die before they are ready, and
        whatever `may_go_on` raises.
        """
        self.queue.extend(work)
        stopping = False
        while any(slot.streams for slot in self.slots) or (self.queue and not stopping):
            if self.stop.asked and not stopping:
                stopping = True
                self.reporter.note("stopping after the parts in hand; Ctrl-C again stops at once")
                for slot in self.slots:
                    self._send_off(slot)
            self._look()
            if self.may_go_on() and not stopping:
                self._staff()
                self._hand_out()
            self._wait()
        return self.quarantined

    def _wait(self) -> None:
        streams = {stream: slot for slot in self.slots for stream in slot.streams}
        awaited = [*self.starting, *streams]
        if not awaited:
            time.sleep(POLL_S)
            return
        ready, _ = ray.wait(awaited, num_returns=1, timeout=POLL_S)
        for reference in ready:
            if reference in self.starting:
                self._started(reference)
            else:
                self._advance(streams[reference], reference)
        for slot in [slot for slot in self.slots if slot.leaving and not slot.streams]:
            ray.kill(slot.actor)
            self._forget(slot)

    def _look(self) -> None:
        """See which nodes came, which are about to go, and whether there are actors at all."""
        now = time.monotonic()
        if any(slot.ready for slot in self.slots):
            self.patient_until = now + PATIENCE_S
        elif now > self.patient_until:
            self.patient_until = float("inf")
            self.reporter.note(
                f"still waiting for an actor, which asks for {self.crew.cpus} CPUs and {self.crew.gpus} GPUs: if no "
                "node of the cluster has that many free, stop and give others"
            )
        if now < self.next_look:
            return
        self.next_look = now + LOOK_S
        self.nodes = nodes.look()
        # It never falls: for an actor whose node was lost Ray is to find, or an autoscaler to start, another.
        self.strength = max(self.strength, self.crew.room(self.nodes.cpus, self.nodes.gpus))
        for slot in self.slots:
            if slot.node_id in self.nodes.draining and not slot.leaving:
                self.reporter.note("a node is being drained: its actor ends after the part in hand")
                self._send_off(slot)

    def _send_off(self, slot: _Slot) -> None:
        slot.leaving = True
        slot.actor.wind_up.remote()

    def _staff(self) -> None:
        """Start actors, up to the crew's strength, while there is work for them."""
        staying = [slot for slot in self.slots if not slot.leaving]
        busy = sum(bool(slot.streams) for slot in staying)
        for _ in range(min(self.strength, busy + len(self.queue)) - len(staying)):
            slot = _Slot(self.start_actor())
            self.slots.append(slot)
            self.starting[slot.actor.ready.remote()] = slot

    def _forget(self, slot: _Slot) -> None:
        self.slots.remove(slot)
        self.starting = {reference: other for reference, other in self.starting.items() if other is not slot}

    def _started(self, reference: Any) -> None:
        slot = self.starting.pop(reference)
        try:
            slot.node_id = ray.get(reference)
            slot.ready = True
            self.failed_starts, self.last_ready = 0, time.monotonic()
        except RayError as error:
            self.failed_starts += 1
            self.slots.remove(slot)
            if self.failed_starts >= self.most_starts:
                seconds = time.monotonic() - self.last_ready
                raise RunFailedError(
                    f"actors do not start, {self.failed_starts} in a row within {seconds:.0f} s, the last because: "
                    f"{reason_of(error)}"
                ) from None
            self.reporter.note(f"an actor did not start, another is tried: {reason_of(error)}")

    def _hand_out(self) -> None:
        # One stream for everyone before anyone gets a second.
        for level in range(self.crew.streams):
            for slot in self.slots:
                if self.queue and slot.ready and not slot.leaving and len(slot.streams) == level:
                    work = self.queue.popleft()
                    self.attempts.begin(work.shard.shard_id)
                    stream = slot.actor.explain_shard.options(num_returns="streaming").remote(
                        self.root_url,
                        self.output_url,
                        work.shard,
                        self.labels,
                        work.start,
                        work.first,
                        work.share,
                    )
                    slot.streams[stream] = _Hand(work, work, self.nodes.alive)

    def _advance(self, slot: _Slot, stream: Any) -> None:
        if stream not in slot.streams:  # its actor was found dead a moment ago, through another stream
            return
        hand = slot.streams[stream]
        try:
            record: CommitRecord = ray.get(next(stream))
        except StopIteration:
            del slot.streams[stream]
            if slot.leaving and hand.left is not None:
                self.queue.appendleft(hand.left)
        except RayTaskError as error:
            del slot.streams[stream]
            # What was lost below the actor may have been on any node.
            gone = is_of_ray(error) and nodes.lost(hand.nodes)
            self._again(hand.work, f"{'a node was lost: ' * gone}{reason_of(error)}", charge=not gone)
        except RayError as error:  # of the actor, or of its node and what was stored there
            self._bury(slot, error)
        else:
            before = hand.work.share
            hand.work = Work(hand.work.shard, record.next, record.part + 1, record.share)
            hand.left = None if record.last else hand.work
            self.attempts.get_on(hand.work.shard.shard_id)
            self.reporter.committed(record, before)

    def _bury(self, slot: _Slot, error: RayError) -> None:
        ray.kill(slot.actor)  # it may only be out of reach, and would write beside the one that takes its place
        gone = nodes.lost({slot.node_id})
        cause = "its node was lost" if gone else "its process died"
        self.reporter.note(f"an actor was lost ({cause}), another takes its place")
        self._forget(slot)
        for hand in slot.streams.values():
            # A node that goes down is no fault of the shard that was being read there.
            self._again(hand.work, f"{cause}: {reason_of(error)}", charge=not gone)
        slot.streams.clear()

    def _again(self, work: Work, reason: str, charge: bool) -> None:
        shard = work.shard
        # The record goes into storage, where a path of this machine has no business.
        for place, name in ((self.output_url, "OUTPUT"), (self.root_url, "INPUT")):
            reason = reason.replace(place, name)
        shown = printable(shard.uri) or shard.shard_id  # loose files have no place in common
        if charge and not self.stop.asked:
            self.attempts.charge(shard.shard_id)
        rest = self.refresh(work)
        if rest is None:
            return
        if self.attempts.spent(shard.shard_id):
            attempts, seconds = self.attempts.charged(shard.shard_id), self.attempts.seconds(shard.shard_id)
            self.reporter.note(f"{shown}: given up after {attempts} attempts in {seconds:.0f} s: {reason}")
            self.quarantined.append(
                QuarantinedShard(
                    shard_id=shard.shard_id,
                    uri=shown,
                    attempts=attempts,
                    seconds=round(seconds, 1),
                    reason=reason,
                )
            )
            return
        if not self.stop.asked:
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
