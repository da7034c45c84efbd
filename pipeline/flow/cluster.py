"""Join or start Ray, and decide how many actors of what size it can run."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import ray
import torch
from ray._raylet import AuthenticationTokenLoader, Config  # type: ignore[attr-defined]

from schemas.errors import LmacError
from schemas.run_config import ClusterConfig

CONNECT_TIMEOUT_S = 10.0
# Each stream holds some parts, 80 MB each, on their way to the actor.
MOST_STREAMS = 8


class ClusterError(LmacError):
    """Ray cannot be reached, or has no room for the actors of a run."""


@dataclass(frozen=True)
class Machine:
    """The CPU cores and GPUs of a machine."""

    cpus: int
    gpus: int


@dataclass(frozen=True)
class PoolSize:
    """The number of a run's actors, their device, and each actor's CPU cores and concurrent shards (`streams`).

    A pool that `grows` also uses nodes that join the cluster later.
    """

    actors: int
    device: str
    cpus: int
    streams: int
    grows: bool = False

    @property
    def gpus(self) -> int:
        return 1 if self.device == "cuda" else 0

    def target(self, cpus: int, gpus: int) -> int:
        """Return how many actors a cluster of `cpus` and `gpus` should have: `actors`, or more if the pool grows."""
        if not self.grows:
            return self.actors
        return max(self.actors, gpus if self.gpus else cpus // (self.cpus + self.streams))


def pool_size(config: ClusterConfig, cpus: int, gpus: int) -> PoolSize:
    """Return the pool for `cpus` and `gpus`: one actor per GPU, else as many as leave each a CPU to decode.

    An actor on a GPU decodes as many shards at once as there are CPUs for it, at most eight.

    Raises ClusterError when a GPU is asked for and there is none.
    """
    if config.device == "cuda" and gpus == 0 and (config.actors is None or config.address is None):
        raise ClusterError(
            "--device cuda: Ray sees no GPU; use --device cpu, or, on a cluster that starts GPUs later, --actors"
        )
    on_gpu = config.device == "cuda" or (config.device == "auto" and gpus > 0)
    if on_gpu:
        actors, per_actor = config.actors or gpus, config.cpus_per_actor or 1
        # A GPU consumes what many CPUs decode: those of nodes without a GPU as well.
        free = cpus // actors - per_actor
        return PoolSize(actors, "cuda", per_actor, config.streams_per_actor or max(1, min(MOST_STREAMS, free)))
    streams = config.streams_per_actor or 1
    # On a cluster Ray's CPUs are all there is, and decoders need some; here they are bookkeeping (see `ray_cluster`).
    share = cpus // (config.actors or 1) - (0 if config.address is None else streams)
    per_actor = config.cpus_per_actor or max(1, min(4, share))
    fitting = max(1, cpus // (per_actor + streams))
    return PoolSize(config.actors or fitting, "cpu", per_actor, streams)


@contextmanager
def ray_cluster(config: ClusterConfig) -> Iterator[PoolSize]:
    """Join Ray, or start it here, while the block lasts; yields the size of the pool that fits it.

    Raises ClusterError when Ray does not start here, or the cluster at `address` cannot be joined or is too small.
    """
    with connected(config.address, lambda nodes: _pool_of(config, nodes)) as size:
        yield size


@contextmanager
def connected(address: str | None, size_for: Callable[[Sequence[Machine]], PoolSize]) -> Iterator[PoolSize]:
    """Join the Ray at `address`, or start one here, while the block lasts; yields what `size_for` says of its machines.

    Raises ClusterError when Ray does not start or cannot be joined, and what `size_for` raises.
    """
    with _own_authentication(), _connected(address, size_for) as size:
        yield size


@contextmanager
def _connected(address: str | None, size_for: Callable[[Sequence[Machine]], PoolSize]) -> Iterator[PoolSize]:
    # Ray's advice on authentication, printed at every start, is not for users of a batch command.
    logging.getLogger("ray").setLevel(logging.ERROR)
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # Otherwise Ray hides the GPUs of actors that ask for none behind a warning at every start.
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    if address is None:
        size = size_for([Machine(os.cpu_count() or 1, torch.cuda.device_count())])
        # Ray's CPUs are bookkeeping: each actor counts its cores, each stream one for its decoder. On a small machine
        # that is more than the real cores, which the operating system then shares out.
        needed = size.actors * (size.cpus + size.streams)
        # "local", as without it Ray joins whatever cluster RAY_ADDRESS or an earlier `ray start` names.
        try:
            ray.init(
                address="local",
                num_cpus=needed,
                include_dashboard=False,
                logging_level=logging.ERROR,
                log_to_driver=False,
                configure_logging=False,
            )
        except Exception as error:  # Ray has no class of its own for this
            ray.shutdown()
            raise ClusterError(
                f"Ray did not start on this machine: {error} Check for free memory and disk space, and try again"
            ) from error
    else:
        _check_reachable(address)
        try:
            ray.init(address=address, logging_level=logging.ERROR, log_to_driver=False)
        except (ConnectionError, RuntimeError, ValueError) as error:
            hint = "" if os.environ.get("RAY_AUTH_MODE") else "; if it asks for a token, set RAY_AUTH_MODE=token"
            raise ClusterError(f"no Ray cluster could be joined at {address!r}: {error}{hint}") from None
    try:
        yield size if address is None else size_for(_machines())
    finally:
        ray.shutdown()


def _machines() -> list[Machine]:
    living = (node["Resources"] for node in ray.nodes() if node["Alive"])
    return [Machine(int(one.get("CPU", 0)), int(one.get("GPU", 0))) for one in living]


def _pool_of(config: ClusterConfig, machines: Sequence[Machine]) -> PoolSize:
    cpus = sum(one.cpus for one in machines)
    size = pool_size(config, cpus, sum(one.gpus for one in machines))
    if config.address is None:
        return size
    if size.device == "cpu" and size.actors * size.cpus >= cpus:
        raise ClusterError(
            f"{size.actors} actors of {size.cpus} CPUs leave none of the cluster's {cpus} CPUs to decode "
            "audio: give fewer --actors or --cpus-per-actor"
        )
    return replace(size, grows=config.actors is None)


@contextmanager
def _own_authentication() -> Iterator[None]:
    """Let the environment decide, before and after the block, whether Ray uses a token.

    A Ray started here asks for one, and Ray keeps to that for the rest of the process: if a cluster without tokens were
    joined next, all its actors would be refused.
    """
    before = os.environ.get("RAY_AUTH_MODE")
    try:
        yield
    finally:
        if before is None:
            os.environ.pop("RAY_AUTH_MODE", None)
        else:
            os.environ["RAY_AUTH_MODE"] = before
        Config.initialize("")
        AuthenticationTokenLoader.instance().reset_cache()


def _check_reachable(address: str) -> None:
    """Try to connect to `host:port` first, as Ray itself waits for many minutes when nothing answers."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not port.isdecimal():
        return  # "auto" and the like
    # Ray takes the machine's own address for these two.
    host = ray.util.get_node_ip_address() if host in ("localhost", "127.0.0.1") else host.strip("[]")
    try:
        socket.create_connection((host, int(port)), timeout=CONNECT_TIMEOUT_S).close()
    except (OSError, OverflowError) as error:
        raise ClusterError(f"no Ray cluster could be joined at {address!r}: {error}") from None
