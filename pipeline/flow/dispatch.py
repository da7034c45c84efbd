"""The driver's loop: shards to actors, commits back, failed shards tried again or quarantined."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import ray
from ray.exceptions import RayError, RayTaskError

from pipeline.flow.actor_pool import ActorPool, PooledActor
from pipeline.flow.attempts import Attempts, is_ray_failure, reason_of
from pipeline.flow.nodes import NodeCheck
from pipeline.flow.parts import RunContext
from pipeline.flow.plan import Work, rest_of
from pipeline.flow.stop import Stop
from pipeline.flow.tasks import Written
from pipeline.inputs.shards import printable
from pipeline.runs.output import RunOutput
from pipeline.trace import Trace
from schemas.records import CommitRecord, QuarantinedShard

# The longest wait for an event, so that signals, the lease and the nodes are checked while nothing happens.
POLL_S = 1.0


class Reporter(Protocol):
    """Receives the events of a run, to show them to people."""

    def committed(self, record: CommitRecord, before: float) -> None:
        """A part is written; `before` is the share of its shard that was done until then."""

    def note(self, text: str) -> None:
        """Something that people should know: an actor lost, a shard tried again."""


@dataclass
class InFlight:
    """A shard that an actor is explaining: the work after its last commit, and the nodes alive when it started.

    `done` is True once its last part is committed.
    """

    actor: PooledActor
    work: Work
    nodes: frozenset[str]
    done: bool = False


@dataclass(frozen=True)
class OnHold:
    """Shards that failed because an actor or a task died, until it is known whether a node was lost with it.

    `actor` is the actor that died, or None if a task of a living actor did.
    """

    check: NodeCheck
    works: list[Work]
    reason: str
    actor: PooledActor | None = None


class Dispatcher:
    """Assigns shards to the actors of a pool until all are done or quarantined.

    Nothing is assigned once `stop` is requested, nor while `may_go_on` is False.
    """

    def __init__(
        self,
        pool: ActorPool,
        context: RunContext,
        attempts: int,
        reporter: Reporter,
        stop: Stop,
        may_go_on: Callable[[], bool],
    ) -> None:
        self.pool, self.context, self.attempts = pool, context, Attempts(attempts)
        self.reporter, self.stop, self.may_go_on = reporter, stop, may_go_on
        self.output = RunOutput(context.output_url)
        self.queue: deque[Work] = deque()
        self.in_flight: dict[Any, InFlight] = {}
        self.on_hold: list[OnHold] = []
        self.quarantined: list[QuarantinedShard] = []
        self.trace = Trace()

    def run(self, work: list[Work]) -> bool:
        """Do the work; returns whether all of it is done or in `quarantined`.

        Once a stop is requested, only the parts in flight are finished. Raises RunFailedError when actors do not start,
        and whatever `may_go_on` raises.
        """
        self.queue.extend(work)
        stopping = False
        while self.in_flight or ((self.queue or self.on_hold) and not stopping):
            if self.stop.requested and not stopping:
                stopping = True
                self.reporter.note("stopping after the parts in flight; Ctrl-C again stops at once")
                for actor in self.pool.actors:
                    self.pool.drain(actor)
            self.pool.check_nodes(now=bool(self.on_hold))
            self._release()
            if self.may_go_on() and not stopping:
                self.pool.scale_up(len(self.queue))
                self._assign()
            self._wait()
        return not self.queue and not self.on_hold

    def _wait(self) -> None:
        probes = [probe for held in self.on_hold for probe in held.check.probes]
        awaited = [*self.pool.starting, *self.in_flight, *probes]
        if not awaited:
            time.sleep(POLL_S)
            return
        ready, _ = ray.wait(awaited, num_returns=1, timeout=POLL_S)
        for reference in ready:
            if reference in self.pool.starting:
                self.pool.started(reference)
            elif reference in self.in_flight:
                self._advance(reference)
        self.pool.end_drained()

    def _assign(self) -> None:
        for actor in self.pool.available():
            if not self.queue:
                return
            work = self.queue.popleft()
            self.attempts.begin(work.shard.shard_id)
            self.in_flight[actor.explain(work)] = InFlight(actor, work, self.pool.nodes.alive)

    def _advance(self, stream: Any) -> None:
        flight = self.in_flight[stream]
        try:
            written: Written = ray.get(next(stream))
        except StopIteration:
            self._end(stream)
            if flight.actor.state == "draining" and not flight.done:
                self.queue.appendleft(flight.work)
        except RayTaskError as error:
            self._end(stream)
            if is_ray_failure(error):
                # The lost task or object may have been on any node.
                self.on_hold.append(OnHold(NodeCheck(flight.nodes, self.pool.nodes), [flight.work], reason_of(error)))
            else:
                self._try_again(flight.work, reason_of(error), charge=True)
        except RayError as error:  # the actor died, or its node with what was stored there
            actor = flight.actor
            self.pool.mark_lost(actor)
            works = [self._end(stream).work for stream in list(actor.streams)]
            check = NodeCheck({actor.node_id}, self.pool.nodes)
            self.on_hold.append(OnHold(check, works, reason_of(error), actor))
        else:
            record, before = written.record, flight.work.share
            flight.work = Work(flight.work.shard, record.next, record.part + 1, record.share)
            flight.done = record.last
            self.attempts.progress(record.shard_id)
            self.trace.take(written.spans)
            self.reporter.committed(record, before)

    def _end(self, stream: Any) -> InFlight:
        flight = self.in_flight.pop(stream)
        flight.actor.streams.remove(stream)
        return flight

    def _release(self) -> None:
        """Try shards on hold again once it is known whether a node was lost."""
        for held in list(self.on_hold):
            lost = held.check.verdict(self.pool.nodes)
            if lost is None:
                continue
            self.on_hold.remove(held)
            if held.actor is None:
                cause = "a node was lost: " if lost else ""
            else:
                cause = "its node was lost" if lost else "its process died"
                self.pool.remove(held.actor)
                self.reporter.note(f"an actor was lost ({cause}), another takes its place")
                cause += ": "
            for work in held.works:
                # The loss of a node is not the fault of the shard that was read there.
                self._try_again(work, f"{cause}{held.reason}", charge=not lost)

    def _try_again(self, work: Work, reason: str, charge: bool) -> None:
        shard = work.shard
        # The record goes into storage, where paths of this machine do not belong.
        for place, name in ((self.context.output_url, "OUTPUT"), (self.context.root_url, "INPUT")):
            reason = reason.replace(place, name)
        shown = printable(shard.uri) or shard.shard_id  # loose files have no place in common
        if charge and not self.stop.requested:
            self.attempts.charge(shard.shard_id)
        # An actor that died may have committed more than it reported.
        parts = self.output.committed_parts(shard.shard_id).get(shard.shard_id, [])
        rest = rest_of(shard, parts, partial(self.output.read_part, shard.shard_id))
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
        if not self.stop.requested:
            self.reporter.note(f"{shown}: tried again from part {rest.first}: {reason}")
        self.queue.append(rest)
