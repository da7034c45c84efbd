"""The actors of a run: started up to a target that grows with the cluster, drained, and replaced when lost."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import ray
from ray.exceptions import RayError

from pipeline.flow.actor import ExplainActor
from pipeline.flow.attempts import reason_of
from pipeline.flow.cluster import PoolSize
from pipeline.flow.nodes import Nodes, read_nodes
from pipeline.flow.plan import Work
from pipeline.flow.tasks import ContextRef
from schemas.errors import LmacError
from schemas.run_config import ClusterConfig

NODES_EVERY_S = 2.0

# A cluster may take this long to find room for an actor before people are told what the run waits for.
PATIENCE_S = 60.0


class RunFailedError(LmacError):
    """The run cannot go on: actors do not start."""


@dataclass(eq=False)
class PooledActor:
    """An actor of the pool, its node once it is ready, and the streams of the shards that it explains.

    Only a ready actor gets shards. A lost actor keeps its place until it is removed; only then is it replaced.
    """

    handle: Any
    state: Literal["starting", "ready", "draining", "lost"] = "starting"
    node_id: str = ""
    streams: set[Any] = field(default_factory=set)

    def explain(self, work: Work) -> Any:
        """Assign a shard to the actor; returns the stream of its commits."""
        stream = self.handle.explain_shard.options(num_returns="streaming").remote(work)
        self.streams.add(stream)
        return stream


class ActorPool:
    """A pool of actors of one size; `start_actor` starts one, `note` takes messages for people.

    `starting` maps the reference of each starting actor's answer to the actor: wait for it, then pass it to `started`.
    """

    def __init__(
        self, size: PoolSize, start_actor: Callable[[], Any], start_attempts: int, note: Callable[[str], None]
    ) -> None:
        self.size, self.target, self.nodes = size, size.actors, Nodes()
        self.actors: list[PooledActor] = []
        self.starting: dict[Any, PooledActor] = {}
        self._start_actor, self._start_attempts, self._note = start_actor, start_attempts, note
        self._failed_starts = 0
        self._last_ready = time.monotonic()
        self._patient_until = self._last_ready + PATIENCE_S
        self._nodes_read = float("-inf")

    def check_nodes(self, now: bool) -> None:
        """Read the cluster's nodes, `now` or when due; raise the target, and drain actors on draining nodes."""
        clock = time.monotonic()
        if any(actor.state != "starting" for actor in self.actors):
            self._patient_until = clock + PATIENCE_S
        elif clock > self._patient_until:
            self._patient_until = float("inf")
            self._note(
                f"still waiting for an actor, which asks for {self.size.cpus} CPUs and {self.size.gpus} GPUs: if no "
                "node of the cluster has that many free, stop and choose other numbers"
            )
        if not now and clock < self._nodes_read + NODES_EVERY_S:
            return
        self._nodes_read = clock
        self.nodes = read_nodes()
        # It never falls: when an actor's node was lost, Ray should find another, or an autoscaler start one.
        self.target = max(self.target, self.size.target(self.nodes.cpus, self.nodes.gpus))
        for actor in self.actors:
            if actor.state == "ready" and actor.node_id in self.nodes.draining:
                self._note("a node is being drained: its actor ends after the part in flight")
                self.drain(actor)

    def scale_up(self, queued: int) -> None:
        """Start actors, up to the target, while there are shards for them: those in flight and `queued` more."""
        staying = [actor for actor in self.actors if actor.state != "draining"]
        busy = sum(bool(actor.streams) or actor.state == "lost" for actor in staying)
        for _ in range(min(self.target, busy + queued) - len(staying)):
            actor = PooledActor(self._start_actor())
            self.actors.append(actor)
            self.starting[actor.handle.ready.remote()] = actor

    def started(self, reference: Any) -> None:
        """Record that a starting actor has answered, or died.

        Raises RunFailedError when `start_attempts` actors in a row have died before they were ready.
        """
        actor = self.starting.pop(reference)
        try:
            actor.node_id = ray.get(reference)
        except RayError as error:
            self._failed_starts += 1
            self.actors.remove(actor)
            if self._failed_starts >= self._start_attempts:
                seconds = time.monotonic() - self._last_ready
                raise RunFailedError(
                    f"actors do not start, {self._failed_starts} in a row within {seconds:.0f} s, the last because: "
                    f"{reason_of(error)}"
                ) from None
            self._note(f"an actor did not start, trying another: {reason_of(error)}")
            return
        if actor.state == "starting":
            actor.state = "ready"
        self._failed_starts, self._last_ready = 0, time.monotonic()

    def available(self) -> Iterator[PooledActor]:
        """Yield each actor once per shard that it can still take; all get a first before any gets a second."""
        for load in range(self.size.streams):
            for actor in self.actors:
                if actor.state == "ready" and len(actor.streams) == load:
                    yield actor

    def drain(self, actor: PooledActor) -> None:
        """Let an actor finish its parts in flight, and assign it no more shards."""
        if actor.state in ("starting", "ready"):
            actor.state = "draining"
            actor.handle.drain.remote()

    def end_drained(self) -> None:
        """End the actors that have been drained and have nothing in flight."""
        for actor in [actor for actor in self.actors if actor.state == "draining" and not actor.streams]:
            ray.kill(actor.handle)
            self.remove(actor)

    def mark_lost(self, actor: PooledActor) -> None:
        """Mark a failed actor as lost, and make sure that it is dead."""
        ray.kill(actor.handle)  # it may only be unreachable, and would go on writing beside its replacement
        actor.state = "lost"

    def remove(self, actor: PooledActor) -> None:
        """Forget an actor, so that another takes its place."""
        self.actors.remove(actor)
        self.starting = {reference: other for reference, other in self.starting.items() if other is not actor}


def actor_starter(size: PoolSize, context: ContextRef, cluster: ClusterConfig) -> Callable[[], Any]:
    """Return a function that starts an ExplainActor of the pool's size; the pool replaces it, Ray never restarts it."""
    remote = ray.remote(ExplainActor).options(
        num_cpus=size.cpus,
        num_gpus=size.gpus,
        max_restarts=0,
        max_task_retries=0,
        max_concurrency=size.streams + 1,
    )
    return lambda: remote.remote(context, size.device, size.cpus, cluster.batch_size, cluster.compile)
