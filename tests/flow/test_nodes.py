"""Nodes that are drained, lost, silent, or join late, each a raylet of its own on this machine."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import ray
from ray._private.state import actors
from ray._raylet import GcsClient
from ray.cluster_utils import Cluster
from ray.core.generated import autoscaler_pb2

from pipeline.flow.nodes import VERDICT_S
from schemas.records import CommitRecord
from schemas.run_config import ContentConfig
from tests.flow.make import Recorder, content_of, explain
from tests.flow.meddle import assert_whole
from tests.flow.test_faults import parent_of

pytestmark = [pytest.mark.slow, pytest.mark.ray]


@pytest.fixture
def content(tiny_explainer: str) -> ContentConfig:
    return content_of(tiny_explainer, files_per_shard=4, part_windows=1, listenables=(), refine=10)


# A node that is silent for so long is lost; Ray's own patience is half a minute.
HEALTH_CHECKS = {
    "health_check_period_ms": 1000,
    "health_check_failure_threshold": 4,
    "health_check_timeout_ms": 4000,
}


@pytest.fixture(scope="module")
def head() -> Iterator[Cluster]:
    """A head without CPUs."""
    arguments = {"num_cpus": 0, "include_dashboard": False, "_system_config": HEALTH_CHECKS}
    made = Cluster(initialize_head=True, head_node_args=arguments)
    yield made
    ray.shutdown()
    made.shutdown()


@pytest.fixture
def cluster(head: Cluster) -> Iterator[Cluster]:
    """The head alone; a test adds nodes, which are gone after it."""
    yield head
    for node in list(head.worker_nodes):
        head.remove_node(node, allow_graceful=False)
    # Ray takes some seconds to notice: until then the next test's run would count on what is gone.
    deadline = time.monotonic() + 60
    while sum(node["Alive"] for node in head.global_state.node_table()) > 1:
        assert time.monotonic() < deadline, "Ray still has nodes that were removed"
        time.sleep(0.1)


class AfterCommits(Recorder):
    """Does something after so many commits, in the main thread."""

    def __init__(self, count: int, action: Callable[[], object]) -> None:
        super().__init__()
        self.count, self.action = count, action

    def on_commit(self, record: CommitRecord) -> None:
        if len(self.commits) == self.count:
            self.action()


def living_actors() -> list[dict[str, Any]]:
    return [actor for actor in actors().values() if actor["State"] == "ALIVE"]


def test_a_draining_node_gets_no_more_and_another_takes_its_place(
    many_clips: str, content: ContentConfig, cluster: Cluster, tmp_path: Path
) -> None:
    cluster.add_node(num_cpus=2)

    def drain() -> None:
        (node_id,) = (actor["Address"]["NodeID"] for actor in living_actors())
        cluster.add_node(num_cpus=2)
        reason = autoscaler_pb2.DrainNodeReason.DRAIN_NODE_REASON_PREEMPTION
        accepted, message = GcsClient(address=cluster.address).drain_node(node_id, reason, "spot", 2**60)
        assert accepted, message

    reporter = AfterCommits(3, drain)
    result = explain(many_clips, tmp_path / "out", content, reporter, address=cluster.address, attempts=1)
    assert reporter.notes == ["a node is being drained: its actor ends after the part in flight"]
    assert result.manifest.complete
    assert_whole(tmp_path / "out", 24)
    assert len({record.actor for record in reporter.commits}) == 2


class Overtaken(Recorder):
    """Holds up the first actor from its first commit, where `action` is done, to the first of another."""

    def __init__(self, action: Callable[[], object]) -> None:
        super().__init__()
        self.action, self.held = action, 0

    def on_commit(self, record: CommitRecord) -> None:
        if len(self.commits) == 1:
            (actor,) = living_actors()
            self.held = actor["Pid"]
            os.kill(self.held, signal.SIGSTOP)
            self.action()
        elif record.actor != self.commits[0].actor:
            self.let_go()

    def let_go(self) -> None:
        if self.held:
            os.kill(self.held, signal.SIGCONT)
        self.held = 0


def test_a_node_that_joins_late_is_used(
    many_clips: str, content: ContentConfig, cluster: Cluster, tmp_path: Path
) -> None:
    cluster.add_node(num_cpus=2)
    reporter = Overtaken(lambda: cluster.add_node(num_cpus=2))
    try:
        explain(many_clips, tmp_path / "out", content, reporter, address=cluster.address, actors=None)
    finally:
        reporter.let_go()
    assert reporter.size is not None
    assert reporter.size.actors == 1
    assert_whole(tmp_path / "out", 24)
    assert len({record.actor for record in reporter.commits}) == 2


@pytest.mark.parametrize("which", ["actor", "decoder"])
def test_a_lost_node_is_no_attempt_of_its_shards(
    many_clips: str, content: ContentConfig, cluster: Cluster, tmp_path: Path, which: str
) -> None:
    # The actor fits on one node only, and the decoders on another.
    sizes = {"actor": 3, "decoder": 1}
    nodes = {name: cluster.add_node(num_cpus=cpus) for name, cpus in sizes.items()}
    # One long shard, so that a decoder is in its middle: held a few parts ahead of the actor.
    content = content.model_copy(update={"files_per_shard": 24})

    def lose() -> None:
        cluster.add_node(num_cpus=sizes[which])
        kill_node(raylet_of(nodes[which]))

    reporter = AfterCommits(3, lose)
    result = explain(
        many_clips, tmp_path / "out", content, reporter, address=cluster.address, attempts=1, cpus_per_actor=3
    )
    assert any("node was lost" in note for note in reporter.notes), reporter.notes
    assert result.manifest.quarantined == []
    assert_whole(tmp_path / "out", 24)


class Silenced(Recorder):
    """With the first commit of a second actor one of them dies, and its node falls silent; later Ctrl-C is pressed."""

    def __init__(self, cluster: Cluster) -> None:
        super().__init__()
        self.cluster, self.raylet, self.dead = cluster, 0, ""
        self.later, self.interrupted = 0, 0.0

    def on_commit(self, record: CommitRecord) -> None:
        if self.dead:
            self.later += record.actor != self.dead
            if self.later == 3 and not self.interrupted:
                self.interrupted = time.monotonic()
                signal.raise_signal(signal.SIGINT)
        elif len({one.actor for one in self.commits}) == 2:
            actor = living_actors()[0]
            (node,) = (one for one in self.cluster.worker_nodes if one.node_id == actor["Address"]["NodeID"])
            self.raylet, self.dead = raylet_of(node), actor["ActorID"][:12]
            os.kill(self.raylet, signal.SIGSTOP)
            os.kill(actor["Pid"], signal.SIGKILL)


def test_neither_other_actors_nor_a_stop_wait_until_it_is_known_whether_a_node_is_lost(
    many_clips: str, content: ContentConfig, cluster: Cluster, tmp_path: Path
) -> None:
    for _ in range(2):
        cluster.add_node(num_cpus=3)  # room for one actor and its decoder
    reporter = Silenced(cluster)
    try:
        result = explain(
            many_clips, tmp_path / "out", content, reporter, address=cluster.address, actors=2, cpus_per_actor=2
        )
        seconds = time.monotonic() - reporter.interrupted
    finally:
        os.kill(reporter.raylet, signal.SIGKILL)
    assert result.stopped
    assert result.manifest is None
    # On a busy machine Ray may notice before the end.
    assert reporter.notes[0] == "stopping after the parts in flight; Ctrl-C again stops at once"
    assert reporter.later >= 3
    assert seconds < VERDICT_S / 2


def raylet_of(node: Any) -> int:
    """The process that is a node."""
    return int(node.all_processes["raylet"][0].process.pid)


def kill_node(raylet: int) -> None:
    """As if its power went: the raylet and all of its workers at once."""
    pids = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    for pid in [raylet, *(pid for pid in pids if parent_of(pid) == raylet)]:
        os.kill(pid, signal.SIGKILL)
