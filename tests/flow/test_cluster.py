"""How many actors of what size a machine or a cluster carries."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.flow.cluster import ClusterError, PoolSize, pool_size
from schemas.run_config import ClusterConfig


@pytest.mark.parametrize(
    ("cpus", "gpus", "options", "size"),
    [
        (1, 0, {}, PoolSize(1, "cpu", 1, 1)),
        (2, 0, {}, PoolSize(1, "cpu", 2, 1)),
        (16, 0, {}, PoolSize(3, "cpu", 4, 1)),
        (16, 0, {"actors": 8}, PoolSize(8, "cpu", 2, 1)),
        (16, 0, {"cpus_per_actor": 1}, PoolSize(8, "cpu", 1, 1)),
        (16, 0, {"cpus_per_actor": 2, "streams_per_actor": 2}, PoolSize(4, "cpu", 2, 2)),
        (2, 0, {"actors": 4}, PoolSize(4, "cpu", 1, 1)),
        (0, 0, {}, PoolSize(1, "cpu", 1, 1)),
        (4, 0, {"address": "auto"}, PoolSize(1, "cpu", 3, 1)),
        (16, 0, {"address": "auto"}, PoolSize(3, "cpu", 4, 1)),
        (8, 0, {"address": "auto", "actors": 4}, PoolSize(4, "cpu", 1, 1)),
        (16, 4, {}, PoolSize(4, "cuda", 1, 3)),
        (16, 4, {"actors": 2, "cpus_per_actor": 3}, PoolSize(2, "cuda", 3, 5)),
        (16, 4, {"streams_per_actor": 1}, PoolSize(4, "cuda", 1, 1)),
        (64, 1, {}, PoolSize(1, "cuda", 1, 8)),
        (1, 1, {}, PoolSize(1, "cuda", 1, 1)),
        # Four machines without a GPU beside one with two.
        (40, 2, {"address": "auto"}, PoolSize(2, "cuda", 1, 8)),
        (16, 4, {"device": "cpu"}, PoolSize(3, "cpu", 4, 1)),
        (8, 0, {"device": "cuda", "actors": 3, "address": "auto"}, PoolSize(3, "cuda", 1, 1)),
        (0, 0, {"device": "cuda", "actors": 3, "address": "auto"}, PoolSize(3, "cuda", 1, 1)),
    ],
)
def test_the_pool_fits_what_there_is(cpus: int, gpus: int, options: dict[str, Any], size: PoolSize) -> None:
    assert pool_size(ClusterConfig(**options), cpus, gpus) == size


@pytest.mark.parametrize("options", [{}, {"actors": 2}, {"address": "auto"}])
def test_a_gpu_that_can_never_come_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ClusterError, match="Ray sees no GPU; use --device cpu"):
        pool_size(ClusterConfig(device="cuda", **options), 16, 0)


def test_an_actor_takes_a_whole_gpu_or_none() -> None:
    assert PoolSize(1, "cuda", 1, 1).gpus == 1
    assert PoolSize(1, "cpu", 1, 1).gpus == 0
