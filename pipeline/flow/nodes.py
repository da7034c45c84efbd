"""The nodes of the Ray cluster: which are there, which are about to go, and whether one is lost."""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import dataclass

import ray
from ray._private.state import state
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

# Ray takes up to half a minute to notice that a node is gone; for so long a node is waited for.
VERDICT_S = 60.0
POLL_S = 1.0


@dataclass(frozen=True)
class Nodes:
    """The ids of living nodes, of those among them that are being drained, and what the others have in all."""

    alive: frozenset[str] = frozenset()
    draining: frozenset[str] = frozenset()
    cpus: int = 0
    gpus: int = 0


def look() -> Nodes:
    """The nodes as Ray knows them now."""
    living = {node["NodeID"]: node["Resources"] for node in ray.nodes() if node["Alive"]}
    draining = frozenset(state.get_draining_nodes()) & living.keys()
    staying = [resources for node_id, resources in living.items() if node_id not in draining]
    return Nodes(
        frozenset(living),
        draining,
        int(sum(resources.get("CPU", 0) for resources in staying)),
        int(sum(resources.get("GPU", 0) for resources in staying)),
    )


def lost(node_ids: Collection[str]) -> bool:
    """Whether one of these nodes is gone, or about to go; each is asked for a sign of life.

    Of one that neither answers in a minute nor is dead to Ray it is not said, so that nothing is tried for ever.
    """
    asked = [
        _answer.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node_id, soft=False)).remote()
        for node_id in node_ids
        if node_id in look().alive
    ]
    deadline = time.monotonic() + VERDICT_S
    while True:
        nodes = look()
        if set(node_ids) - (nodes.alive - nodes.draining):
            return True
        if not asked or time.monotonic() > deadline:
            return False
        answered, asked = ray.wait(asked, timeout=POLL_S)
        try:
            ray.get(answered)
        except RayError:
            return True


@ray.remote(num_cpus=0, max_retries=0)
def _answer() -> None:
    """Being run is the answer."""
