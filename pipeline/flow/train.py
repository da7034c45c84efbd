"""Train on several GPUs, or several processes, with Ray Train: the same call of the library in each."""

from __future__ import annotations

import inspect
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait
from contextlib import suppress
from functools import partial
from pathlib import Path
from threading import Thread
from typing import Any, TypeVar

import ray
import torch
from ray.exceptions import RayError
from ray.train import FailureConfig, RunConfig, ScalingConfig
from ray.train.torch import TorchConfig, TorchTrainer, get_device

from pipeline.flow.cluster import ClusterError, Machine, PoolSize, connected
from pipeline.lmac.arguments import ArgumentError
from pipeline.lmac.memory import keep_freed_memory
from pipeline.training.loop import Progress
from pipeline.training.model_card import shown_call
from pipeline.training.workspace import Reporter, TrainingResult
from schemas.errors import LmacError

Value = TypeVar("Value")
_POLL_S, _STOP_S = 0.2, 60.0
# The others wait while the first worker decodes the input, or validates; Ray ends them all if one fails.
_COLLECTIVE_S = 7 * 24 * 3600


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
    worker's part of it. The other arguments are those of `training`. After an interruption the same call resumes from
    the last complete epoch, also with another number of workers.

    Without `address` a local Ray is started and stopped. On a cluster all machines must see the input, the explainers
    and `out` by the same paths or URLs, and the current folder if one of these is relative or `out` is a URL.

    Raises ArgumentError if `workers` is below 1 or `device` not auto, cpu or cuda; ClusterError if there are fewer GPUs
    than workers, or on a cluster fewer CPU cores, if the cluster cannot be joined, or if workers are lost; and what
    `training` raises.

    >>> from lmac import train_decoder, train_on_workers
    >>> train_on_workers(train_decoder, "sounds", "out", classifier="mine", workers=4)  # doctest: +SKIP
    """
    if workers < 1:
        raise ArgumentError(f"workers must be at least 1, got {workers}")
    if workers == 1 and address is None:
        return training(*arguments, device=device, reporter=reporter, **settings)
    if device not in ("auto", "cpu", "cuda"):
        raise ArgumentError(f"device must be auto, cpu or cuda, got {device!r}")
    settings = _with_command(training, arguments, {**settings, "device": device}, workers)
    size_for = partial(_size, workers, device, address is None)
    with connected(address, size_for) as size, tempfile.TemporaryDirectory(prefix="lmac-train-") as scratch:
        relay: Any = ray.remote(num_cpus=0)(_Relay).remote()
        # By default Ray Train would wait for ever for workers that do not start.
        failures = FailureConfig(controller_failure_limit=0)  # type: ignore[call-arg]
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
            torch_config=TorchConfig(timeout_s=_COLLECTIVE_S),
            scaling_config=ScalingConfig(
                num_workers=size.actors,
                use_gpu=bool(size.gpus),
                resources_per_worker={"CPU": size.cpus, "GPU": size.gpus},
            ),
            run_config=RunConfig(name="lmac", storage_path=scratch, failure_config=failures),
        )
        fitting = _in_thread(trainer.fit)
        try:
            ended = False
            while not ended:
                ended = bool(wait([fitting], timeout=_POLL_S).done)
                for method, values in ray.get(relay.take.remote()):
                    getattr(reporter, method)(*values)
            fitting.result()
        except ray.train.TrainingFailedError as error:
            raise _cause(error) from error
        except BaseException:
            _stop(relay, fitting)
            raise
        result: TrainingResult = ray.get(relay.result.remote())
    return result


def _size(workers: int, device: str, local: bool, machines: Sequence[Machine]) -> PoolSize:
    """Return what each worker gets: a GPU and a CPU core, or as many cores as all can have on these machines."""
    gpus, cpus = sum(one.gpus for one in machines), sum(one.cpus for one in machines)
    if device == "cuda" or (device == "auto" and gpus):
        if gpus < workers:
            raise ClusterError(f"{workers} workers need a GPU each, and Ray sees {gpus}: give fewer --workers")
        return PoolSize(workers, "cuda", 1, 0)
    shares = range(cpus // workers, 0, -1)
    share = next((each for each in shares if sum(one.cpus // each for one in machines) >= workers), 0)
    if not (share or local):
        raise ClusterError(f"{workers} workers need a CPU core each, and the cluster has {cpus}: give fewer --workers")
    return PoolSize(workers, "cpu", max(1, share), 0)


def _with_command(
    training: Callable[..., TrainingResult], arguments: Sequence[Any], settings: dict[str, Any], workers: int
) -> dict[str, Any]:
    """Add the call that a model card shows, unless a command is given or the training shows none."""
    signature = inspect.signature(training)
    if "command" not in signature.parameters or settings.get("command") is not None:
        return settings
    bound = signature.bind(*arguments, **settings)
    bound.apply_defaults()
    name, call = f"lmac.{training.__name__}", shown_call(training, bound.arguments)
    inside = call.removeprefix(f"{name}(").removesuffix(")")
    return {**settings, "command": f"lmac.train_on_workers({name}, {inside}, workers={workers})"}


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
    deadline = time.monotonic() + _STOP_S
    with suppress(RayError):  # what interrupted the training is what is raised
        while not fitting.done() and time.monotonic() < deadline:
            for worker in ray.get(relay.workers.remote(), timeout=_STOP_S):
                ray.kill(worker)
            wait([fitting], timeout=_POLL_S)


def _cause(error: ray.train.TrainingFailedError) -> LmacError:
    """What a worker raised, rather than what the others then missed."""
    failures = list(getattr(error, "worker_failures", {}).values())
    causes = (getattr(one, "_base_exc", one) for one in failures)
    known = next((one for one in causes if isinstance(one, LmacError)), None)
    if known is not None:
        return known
    said = next((str(one) for one in failures), str(error)).strip().splitlines()
    return ClusterError(f"a worker failed; the same command resumes after the last complete epoch: {said[-1]}")


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


class Relayed(Reporter):
    """A reporter in a worker that says it all to the relay."""

    def __init__(self, relay: Any) -> None:
        self._relay = relay

    def skipped(self, key: str, reason: str) -> None:
        self._relay.say.remote("skipped", key, reason)

    def rendered(self, done: int, total: int) -> None:
        self._relay.say.remote("rendered", done, total)

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
    # Ray Train has changed to a folder of its own; on another machine the caller's may not be there.
    if Path(work["folder"]).is_dir():
        os.chdir(work["folder"])
    if device.type == "cpu":
        torch.set_num_threads(work["threads"])
    keep_freed_memory(device)
    reporter = Relayed(relay) if first else Reporter()
    result = work["training"](*work["arguments"], reporter=reporter, **work["settings"])
    if first:
        ray.get(relay.finish.remote(result))
