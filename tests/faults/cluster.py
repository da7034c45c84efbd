"""A Ray cluster on this machine: a head for drivers and two nodes for the work, which can be lost and replaced."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ray._raylet import GcsClient  # type: ignore[attr-defined]
from ray.cluster_utils import Cluster
from ray.core.generated import autoscaler_pb2

from tests.faults.processes import called, descendants, kill, parents

NODES, CPUS = 2, 2
_STORE_BYTES = 100 << 20
_SYSTEM = {
    # A node that is silent for so long is lost. On a busy machine a shorter silence means nothing.
    "health_check_period_ms": 1000,
    "health_check_failure_threshold": 5,
    "health_check_timeout_ms": 5000,
    # Ray keeps one idle worker per CPU, and with few CPUs would start a new one for nearly each part that is written.
    "num_workers_soft_limit": 8,
    # As urgent as the driver: else whatever runs beside holds the workers up, and not the driver that waits for them.
    "worker_niceness": 0,
}


class Nodes:
    """The head, which has no CPU to give away, and the nodes at work."""

    def __init__(self) -> None:
        self._cluster = Cluster(
            initialize_head=True,
            head_node_args={
                "num_cpus": 0,
                "object_store_memory": _STORE_BYTES,
                "include_dashboard": False,
                "_system_config": _SYSTEM,
            },
        )
        self.at_work: list[Any] = []

    @property
    def address(self) -> str:
        """Where drivers join."""
        return str(self._cluster.address)

    def shut_down(self) -> None:
        """End all nodes."""
        self._cluster.shutdown()

    def have(self, count: int) -> None:
        """Bring nodes, or take them away in order, until so many are at work."""
        for node in [node for node in self.at_work if not _alive(node)]:
            self._drop(node)
        while len(self.at_work) < count:
            self.add()
        while len(self.at_work) > count:
            self.lose(self.at_work[-1])
        self._wait(count)

    def add(self) -> Any:
        """A node joins."""
        node = self._cluster.add_node(num_cpus=CPUS, object_store_memory=_STORE_BYTES)
        self.at_work.append(node)
        return node

    def lose(self, node: Any) -> int:
        """Kill a node: its raylet and all that runs below it; returns how many processes that were."""
        raylet = raylet_of(node)
        below = descendants(raylet)
        killed = kill([raylet, *below])
        self._drop(node)
        return killed

    def drain(self, node: Any, seconds: float) -> bool:
        """Announce that a node will be gone in so many seconds, as a cloud does; returns whether Ray took notice."""
        accepted, _ = GcsClient(address=self.address).drain_node(
            node.node_id,
            autoscaler_pb2.DrainNodeReason.Value("DRAIN_NODE_REASON_PREEMPTION"),  # type: ignore[attr-defined]
            "the machine is wanted back",
            int((time.time() + seconds) * 1000),
        )
        return bool(accepted)

    def workers(self, title: str) -> list[int]:
        """The workers of all nodes whose title begins so, e.g. `ray::write_part`."""
        return [pid for node in self._cluster.list_all_nodes() for pid in workers_of(node, title)]

    def node_with(self, title: str, without: str | None = None) -> Any:
        """A node at work that runs such a worker, and none of the other kind; None where there is none."""
        for node in self.at_work:
            if workers_of(node, title) and not (without and workers_of(node, without)):
                return node
        return None

    def _drop(self, node: Any) -> None:
        self.at_work.remove(node)
        self._cluster.remove_node(node, allow_graceful=False)

    def _wait(self, count: int, timeout_s: float = 60.0) -> None:
        """Until the head knows of so many nodes beside itself."""
        deadline = time.monotonic() + timeout_s
        while (known := len(self._cluster.global_state._live_node_ids()) - 1) != count:
            if time.monotonic() > deadline:
                raise RuntimeError(f"Ray knows of {known} nodes at work, not of {count}, after {timeout_s:.0f} s")
            time.sleep(0.1)


def raylet_of(node: Any) -> int:
    """The process that is a node."""
    return int(node.all_processes["raylet"][0].process.pid)


def workers_of(node: Any, title: str) -> list[int]:
    """The workers of a node whose title begins so."""
    return called(descendants(raylet_of(node)), title)


def _alive(node: Any) -> bool:
    return raylet_of(node) in parents()


@contextmanager
def ray_nodes() -> Iterator[Nodes]:
    """A cluster with all its nodes, while the block lasts."""
    nodes = Nodes()
    try:
        nodes.have(NODES)
        yield nodes
    finally:
        nodes.shut_down()
