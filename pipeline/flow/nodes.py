"""The nodes of the Ray cluster: which are there, which are about to go, and whether one is lost."""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import dataclass

import ray
from ray._private.state import state
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

# Ray takes up to half a minute to notice that a node is gone.
VERDICT_S = 60.0


@dataclass(frozen=True)
class Nodes:
    """The ids of living nodes and of those being drained, and the total CPUs and GPUs of the nodes that stay."""

    alive: frozenset[str] = frozenset()
    draining: frozenset[str] = frozenset()
    cpus: int = 0
    gpus: int = 0

    @property
    def staying(self) -> frozenset[str]:
        return self.alive - self.draining


def read_nodes() -> Nodes:
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


class NodeCheck:
    """Finds out, without blocking, whether any of the given nodes is lost, by sending each living one a probe.

    `probes` are the answers that are still missing. If they still are after VERDICT_S, and Ray has reported no node
    dead, none counts as lost, so that no shard is tried for ever.
    """

    def __init__(self, node_ids: Collection[str], nodes: Nodes) -> None:
        self._node_ids = frozenset(node_ids)
        self._deadline = time.monotonic() + VERDICT_S
        self.probes = [
            _probe.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node_id, soft=False)).remote()
            for node_id in self._node_ids & nodes.alive
        ]

    def verdict(self, nodes: Nodes) -> bool | None:
        """Whether a node is gone or about to go; None while unknown. `nodes` must be read after the check began."""
        if not self._node_ids <= nodes.staying:
            return True
        if self.probes:
            answered, self.probes = ray.wait(self.probes, num_returns=len(self.probes), timeout=0)
            try:
                ray.get(answered)
            except RayError:
                return True
        return None if self.probes and time.monotonic() < self._deadline else False


@ray.remote(num_cpus=0, max_retries=0)
def _probe() -> None:
    """Do nothing: that it ran is the answer."""
