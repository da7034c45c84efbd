"""The training loop of classifier and decoder: averaged weights, checkpoints that resume, early stopping.

It runs on the module's device. Random numbers are drawn on the CPU, and checkpoints hold CPU tensors, so that a
training can resume on another kind of device. Several processes may train together, each on a part of every batch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from numpy.typing import NDArray
from torch import Generator, Tensor, nn

from pipeline.lmac.prefetch import prefetched
from pipeline.lmac.transfer import Download, Transfer
from pipeline.training.ranks import Ranks, running_statistics
from pipeline.training.saved_state import copy_on_cpu, save_state
from schemas.errors import LmacError
from schemas.training_config import LoopConfig

Scores = dict[str, float]

# A batch as read, arrays `[B, ...]` by name; and tensors on the device by name, a batch or scalars.
Arrays = Mapping[str, NDArray[Any]]
Batch = dict[str, Tensor]


class Task(Protocol):
    """What to train: a module, how to read a batch of windows, the loss of a batch, and a validation.

    `read` takes window numbers `[B]`; it is called in a thread, ahead of `loss`, and draws no random numbers. `loss`
    takes what was read, on the module's device, and also returns scores, which stay on the device, as reading them
    would wait for it. `validate` returns scores by name, including `score`, which is higher for a better model; without
    held-out windows it returns an empty dict.
    """

    module: nn.Module
    n_windows: int

    def read(self, indices: Tensor) -> Arrays: ...

    def loss(self, batch: Batch, rng: Generator) -> tuple[Tensor, Batch]: ...

    def validate(self) -> Scores: ...


@dataclass
class Progress:
    """A finished epoch, counted from 1; `best` says that its weights are the best so far."""

    epoch: int
    epochs: int
    train: Scores
    validation: Scores
    best: bool


@dataclass
class State:
    """The progress of a training: what a checkpoint holds besides tensors."""

    epoch: int = 0
    best_score: float = -math.inf
    best_epoch: int = 0
    history: list[Scores] = field(default_factory=list)


class TrainingError(LmacError):
    """A training cannot start or continue, for example because settings conflict or the loss is not finite."""


class _Loss(nn.Module):
    """The loss of a task as a module, which is what DistributedDataParallel wraps."""

    def __init__(self, task: Task) -> None:
        super().__init__()
        self.module, self.task = task.module, task

    def forward(self, batch: Batch, rng: Generator) -> tuple[Tensor, Batch]:
        return self.task.loss(batch, rng)


def fit(
    task: Task,
    config: LoopConfig,
    checkpoint: Path,
    fingerprint: str,
    report: Callable[[Progress], None],
    step: Callable[[int, int], None] = lambda done, total: None,
) -> State:
    """Train `task.module` in place and leave the averaged weights of the best epoch (or the last) in it.

    A `checkpoint` with the same `fingerprint` (data and settings) is resumed, on any device. On a CPU the result is
    bit for bit the same as without the interruption, as each epoch has its own random generator. Without validation
    scores the last epoch is kept.

    In several processes (`Ranks`) each takes an equal part of every batch. The first one's checkpoint and validation
    hold for all, and only it calls `report` and `step`. Random numbers for a window, such as those of augmentation,
    and the statistics of batch normalisation are those of a process. So the result depends on how many there are.

    Raises TrainingError when the loss or score is not finite, the checkpoint belongs to another training, or a batch
    cannot be shared equally.
    """
    ranks = Ranks.of_process()
    if not ranks.agree((fingerprint, task.n_windows)):
        raise TrainingError("workers have read different windows: all machines must see the same input")
    size = _shared_equally(config.batch_size, task.n_windows, ranks)
    module = task.module
    device = next(module.parameters()).device
    transfer = Transfer(device)
    steps = max(task.n_windows // config.batch_size, 1)
    compute = ranks.parallel(_Loss(task))
    optimizer = torch.optim.AdamW(module.parameters(), config.learning_rate, weight_decay=config.weight_decay)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, _one_cycle(config, steps))
    average = torch.optim.swa_utils.AveragedModel(module, use_buffers=True)
    average.multi_avg_fn = _averaging(config.ema, average.n_averaged)
    state, best = State(), copy_on_cpu(module)
    saved = ranks.from_first(lambda: _load(checkpoint))
    if saved is not None:
        if saved["fingerprint"] != fingerprint:
            raise TrainingError(
                f"{checkpoint} belongs to a training with other data or settings: "
                "choose another output directory, or remove it to start anew"
            )
        module.load_state_dict(saved["module"])
        average.load_state_dict(saved["average"])
        optimizer.load_state_dict(saved["optimizer"])
        schedule.load_state_dict(saved["schedule"])
        state, best = State(**saved["state"]), saved["best"]

    for epoch in range(state.epoch, config.epochs):
        if config.patience and epoch - state.best_epoch > config.patience:
            break
        rng = torch.Generator().manual_seed(config.seed * 100_003 + epoch)
        order = torch.randperm(task.n_windows, generator=rng)
        if not ranks.first:
            rng.manual_seed(config.seed * 100_003 + epoch + ranks.rank * 1_000_003)
        # Dropout draws from the global generator.
        torch.manual_seed(config.seed * 100_003 + epoch + ranks.rank * 1_000_003)
        module.train()
        sums: Batch = {}
        arriving: Download | None = None
        chosen = _batches(order, size, ranks)
        for number, batch in enumerate(prefetched(task.read, chosen, device)):
            loss, scores = compute(batch, rng)
            # Check the loss of the previous step, which has arrived: waiting for this one would leave the GPU idle.
            _refuse_infinite(arriving, epoch)
            arriving = transfer.download({"loss": loss.detach()})
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(module.parameters(), 5.0)
            optimizer.step()
            schedule.step()
            average.update_parameters(module)
            for name, value in scores.items():
                sums[name] = sums.get(name, 0.0) + value.double() / steps
            if ranks.first:
                step(number + 1, steps)
        _refuse_infinite(arriving, epoch)
        ranks.average([*sums.values(), *running_statistics(module), *running_statistics(average.module)])
        means = {name: float(total) for name, total in sums.items()}
        validation = ranks.from_first(lambda: _validate(task, average.module))
        score = validation.get("score", float(epoch))
        if math.isnan(score):
            raise TrainingError(
                f"the validation score is not a number in epoch {epoch + 1}: try a smaller learning_rate"
            )
        better = score > state.best_score or config.keep == "last"
        if better:
            state.best_score, state.best_epoch, best = score, epoch, copy_on_cpu(average.module)
        state.epoch = epoch + 1
        state.history.append({**{f"train_{k}": v for k, v in means.items()}, **validation})
        if not ranks.first:
            continue
        save_state(
            checkpoint,
            {
                "fingerprint": fingerprint,
                "module": module.state_dict(),
                "average": average.state_dict(),
                "optimizer": optimizer.state_dict(),
                "schedule": schedule.state_dict(),
                "state": vars(state),
                "best": best,
            },
        )
        report(Progress(epoch + 1, config.epochs, means, validation, better))
    module.load_state_dict(best)
    module.eval()
    return state


def _load(checkpoint: Path) -> dict[str, Any] | None:
    if not checkpoint.exists():
        return None
    saved: dict[str, Any] = torch.load(checkpoint, map_location="cpu", weights_only=True)
    return saved


def _one_cycle(config: LoopConfig, steps: int) -> Callable[[int], float]:
    total, warm = config.epochs * steps, max(int(config.warmup * config.epochs * steps), 1)

    def factor(step: int) -> float:
        if step < warm:
            return (step + 1) / warm
        return 0.5 * (1 + math.cos(math.pi * min((step - warm) / max(total - warm, 1), 1.0)))

    return factor


def _averaging(decay: float, steps: Tensor) -> Callable[[Sequence[Tensor], Sequence[Tensor], Tensor | int], None]:
    def average(averaged: Sequence[Tensor], current: Sequence[Tensor], count: Tensor | int) -> None:
        # The decay grows with the steps taken; otherwise early epochs would be validated on the random initial weights.
        # `count`, the same number on the device, is not used, as reading it would wait for a GPU.
        weight = min(decay, (1 + int(steps)) / (10 + int(steps)))
        for kept, now in zip(averaged, current, strict=True):
            # The step counter of batch normalisation is not averaged.
            kept.copy_(torch.lerp(now, kept, weight) if kept.is_floating_point() else now)

    return average


def mixed_precision(device: torch.device, config: LoopConfig) -> torch.autocast:
    """Return an autocast context for bfloat16, enabled if the settings say so."""
    return torch.autocast(device.type, torch.bfloat16, enabled=config.bf16)


def _refuse_infinite(arriving: Download | None, epoch: int) -> None:
    loss = float(arriving.tensors()["loss"]) if arriving is not None else 0.0
    if not math.isfinite(loss):
        raise TrainingError(f"the loss is {loss} in epoch {epoch + 1}: try a smaller learning_rate")


def _shared_equally(batch_size: int, n_windows: int, ranks: Ranks) -> int:
    """Return how many windows all processes take in a step: `batch_size`, or if there are fewer, as many as fit."""
    if batch_size % ranks.count:
        raise TrainingError(
            f"batch_size {batch_size} cannot be shared equally by {ranks.count} workers: give a multiple of "
            f"{ranks.count}"
        )
    size = min(batch_size, n_windows) // ranks.count * ranks.count
    if not size:
        raise TrainingError(f"{n_windows} windows are too few for {ranks.count} workers: give fewer --workers")
    return size


def _batches(order: Tensor, size: int, ranks: Ranks) -> Iterator[Tensor]:
    """Yield this process's part of each batch of `size` windows."""
    # The remainder, which differs between epochs, is left out: a batch of one would break batch normalisation.
    for start in range(0, len(order) - size + 1, size):
        yield order[start : start + size][ranks.rank :: ranks.count]


def _validate(task: Task, averaged: nn.Module) -> Scores:
    trained = task.module
    task.module = averaged
    averaged.eval()
    try:
        with torch.no_grad():
            return task.validate()
    finally:
        task.module = trained
