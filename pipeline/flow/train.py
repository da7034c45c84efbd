"""Train on several GPUs, or several processes, with Ray Train: the same call of the library in each."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from concurrent.futures import Future, wait
from threading import Thread
from typing import Any, TypeVar

import ray
import torch
from ray.train import RunConfig, ScalingConfig
from ray.train.torch import TorchTrainer, get_device

from pipeline.flow.cluster import ClusterError, ray_cluster
from pipeline.lmac.memory import keep_freed_memory
from pipeline.training.loop import Progress
from pipeline.training.workspace import Reporter, TrainingResult
from schemas.errors import LmacError
from schemas.run_config import ClusterConfig

Value = TypeVar("Value")
_POLL_S = 0.2


def train_on_workers(
    training: Callable[..., TrainingResult],
    *arguments: Any,
    workers: int,
    device: str = "auto",
    address: str | None = None,
    reporter: Reporter = Reporter(),
    **settings: Any,
) -> TrainingResult:
    """Call `training` (`train_classifier` or `train_decoder`) in `workers` processes that share each batch.

    Each has a GPU of its own, or without GPUs an equal share of the CPU cores. Gradients are averaged by torch's
    DistributedDataParallel; `batch_size` stays that of one step, so it must be a multiple of `workers`. What is defined
    over a batch, such as statistics of batch normalisation and the limit of the masks' mean size, is computed over a
    worker's part of it. Without `address` a local Ray is started and stopped; on a cluster the input, the output and
    the explainers must be visible to all machines. The other arguments are those of `training`. After an interruption
    the same call resumes from the last complete epoch, also with another number of workers.

    Raises ClusterError if there are fewer GPUs than workers or the cluster cannot be joined, and what `training`
    raises.

    >>> from lmac import train_decoder, train_on_workers
    >>> train_on_workers(train_decoder, "sounds", "out", classifier="mine", workers=4)  # doctest: +SKIP
    """
    if workers == 1 and address is None:
        return training(*arguments, device=device, reporter=reporter, **settings)
    config = ClusterConfig(address=address, actors=workers, device=device)  # type: ignore[arg-type]
    with ray_cluster(config) as size, tempfile.TemporaryDirectory(prefix="lmac-train-") as scratch:
        resources: dict[str, float] = {"CPU": size.cpus, "GPU": size.gpus}
        have = ray.cluster_resources()
        short = [name for name, each in resources.items() if have.get(name, 0) < each * size.actors]
        if short:
            raise ClusterError(
                f"{workers} workers need {' and '.join(f'{resources[name] * workers:g} {name}s' for name in short)}, "
                f"but there are {' and '.join(f'{have.get(name, 0):g}' for name in short)}: give fewer --workers"
            )
        relay: Any = ray.remote(num_cpus=0)(_Relay).remote()
        trainer = TorchTrainer(
            _train,
            train_loop_config={
                "training": training,
                "arguments": arguments,
                "settings": {**settings, "device": size.device},
                "threads": size.cpus,
                "folder": os.getcwd(),
                "relay": relay,
            },
            scaling_config=ScalingConfig(
                num_workers=size.actors, use_gpu=bool(size.gpus), resources_per_worker=resources
            ),
            run_config=RunConfig(name="lmac", storage_path=scratch),
        )
        fitting = _in_thread(trainer.fit)
        try:
            while not fitting.done():
                wait([fitting], timeout=_POLL_S)
                for method, values in ray.get(relay.take.remote()):
                    getattr(reporter, method)(*values)
            fitting.result()
        except ray.train.TrainingFailedError as error:
            raise _cause(error) from None
        except BaseException:
            _stop(relay, fitting)
            raise
        result: TrainingResult = ray.get(relay.result.remote())
    return result


def _in_thread(work: Callable[[], Value]) -> Future[Value]:
    """Begin `work` in a thread, as in the main one Ray Train would take the signals for itself."""
    future: Future[Value] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:
            future.set_exception(error)

    # A daemon, so that a second Ctrl-C ends the process at once.
    Thread(target=run, daemon=True).start()
    return future


def _stop(relay: Any, fitting: Future[Any]) -> None:
    """Kill the workers, whereupon Ray Train ends; a Ray that were shut down beneath it would let it wait for ever."""
    while not fitting.done():
        for worker in ray.get(relay.workers.remote()):
            ray.kill(worker)
        wait([fitting], timeout=_POLL_S)


def _cause(error: ray.train.TrainingFailedError) -> Exception:
    """What a worker raised, rather than what the others then missed."""
    failures = list(getattr(error, "worker_failures", {}).values())
    causes = (getattr(one, "_base_exc", one) for one in failures)
    return next((one for one in causes if isinstance(one, LmacError)), error)


class _Relay:
    """An actor that knows the workers, and carries what the first of them reports to the driver."""

    def __init__(self) -> None:
        self._said: list[tuple[str, tuple[Any, ...]]] = []
        self._result: TrainingResult | None = None
        self._workers: list[Any] = []

    def join(self, worker: Any) -> None:
        self._workers.append(worker)

    def workers(self) -> list[Any]:
        return self._workers

    def say(self, method: str, *values: Any) -> None:
        self._said.append((method, values))

    def take(self) -> list[tuple[str, tuple[Any, ...]]]:
        said, self._said = self._said, []
        return said

    def finish(self, result: TrainingResult) -> None:
        self._result = result

    def result(self) -> TrainingResult | None:
        return self._result


class _Relayed(Reporter):
    """A reporter in a worker that says it all to the relay."""

    def __init__(self, relay: Any) -> None:
        self._relay = relay

    def skipped(self, key: str, reason: str) -> None:
        self._relay.say.remote("skipped", key, reason)

    def started(self, how: str, windows: int, epochs: int) -> None:
        self._relay.say.remote("started", how, windows, epochs)

    def step(self, done: int, total: int) -> None:
        self._relay.say.remote("step", done, total)

    def epoch(self, progress: Progress) -> None:
        self._relay.say.remote("epoch", progress)


def _train(work: dict[str, Any]) -> None:
    """What each worker does."""
    device, first, relay = get_device(), torch.distributed.get_rank() == 0, work["relay"]
    ray.get(relay.join.remote(ray.get_runtime_context().current_actor))
    os.chdir(work["folder"])  # paths are relative to the caller's folder, not to one of Ray Train's
    if device.type == "cuda":
        torch.cuda.set_device(device)
    else:
        torch.set_num_threads(work["threads"])
    keep_freed_memory(device)
    reporter = _Relayed(relay) if first else Reporter()
    result = work["training"](*work["arguments"], reporter=reporter, **work["settings"])
    if first:
        ray.get(relay.finish.remote(result))
