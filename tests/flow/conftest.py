"""One thread for torch, here and in Ray's workers, and a cluster to join."""

from __future__ import annotations

import os
from collections.abc import Iterator
from unittest import mock

import pytest
import ray
from ray.cluster_utils import Cluster

from tests.flow.make import short_clips, write_folder
from tests.models.conftest import one_thread

__all__ = ["one_thread"]


@pytest.fixture(autouse=True, scope="package")
def one_thread_in_workers() -> Iterator[None]:
    with mock.patch.dict(os.environ, {"OMP_NUM_THREADS": "1"}):
        yield


@pytest.fixture(scope="module")
def ray_address() -> Iterator[str]:
    """A Ray cluster to join, so that not every run has to start its own."""
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 6, "include_dashboard": False})
    yield cluster.address
    ray.shutdown()
    cluster.shutdown()


@pytest.fixture(scope="package")
def many_clips(tmp_path_factory: pytest.TempPathFactory) -> str:
    """24 recordings of one window: with four files to a shard and one window to a part, six shards of four parts."""
    return write_folder(tmp_path_factory.mktemp("many"), short_clips(24))
