"""What training a decoder takes on a device, and whether it learns there what it learns on the CPU:

python -m benchmarks.training_device --device cuda

For a CLAP of real size, its weights random, and for `esc10`: seconds a step and windows a second, on the device in bf16
and on the CPU beside it, and the hours that 100,000 windows take for 10 epochs; then the losses of a few steps from the
same weights and the same draws on both, in fp32, which must agree to 1 in 1,000 in the first step and 1 in 50 in the
mean of all; then a training that begins on the device and goes on on the CPU. A line of JSON each. It ends with 1 where
losses do not agree. The sound is synthetic; the windows lie in a file, as those of a training do.
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch
from torch import Generator, Tensor

from benchmarks.device import load, sounds
from pipeline.audio.pcm import to_pcm
from pipeline.inputs.window_file import MappedWindows
from pipeline.inputs.window_set import WindowSet
from pipeline.models.build import build_decoder
from pipeline.training.decoder_task import DecoderTask
from pipeline.training.loop import Batch, Progress, fit
from schemas.training_config import DecoderTraining, LoopConfig

# Relative differences of losses on two devices.
FIRST_STEP, ALL_STEPS = 1e-3, 2e-2
WINDOWS, EPOCHS = 100_000, 10
DISTINCT = 64


class EnoughError(Exception):
    """So many steps are done."""


class Watched(DecoderTask):
    """A training of a decoder that keeps the losses of its steps."""

    losses: list[Tensor]

    def loss(self, batch: Batch, rng: Generator) -> tuple[Tensor, Batch]:
        loss, scores = super().loss(batch, rng)
        self.losses.append(loss.detach())
        return loss, scores


def task_on(name: str, device: str, windows: WindowSet, loop: LoopConfig) -> Watched:
    """A decoder of random weights, the same each time, for an explainer's classifier, on a device."""
    explainer = load(name, "cpu", "fp32")
    torch.manual_seed(0)
    decoder = build_decoder(explainer.config, explainer.classifier).to(device)
    config = DecoderTraining(loop=loop)
    task = Watched(decoder, explainer.classifier.to(device), windows, None, config, explainer.config.mask_domain)
    task.losses = []
    return task


def window_set(name: str, count: int, folder: Path) -> WindowSet:
    """Synthetic windows as long as the explainer's, in a file; more than some are the same ones again."""
    samples = to_pcm(sounds(load(name, "cpu", "fp32"), min(count, DISTINCT), None))
    path = folder / f"{name}-{count}.i16"
    path.write_bytes(samples.astype("<i2").tobytes())
    keys = tuple(f"{number}" for number in range(count))
    mapped = MappedWindows(path, *samples.shape)
    rows = np.arange(count) % len(samples)
    return WindowSet(mapped, np.arange(count), keys, ((),) * count, ({},) * count, (), rows=rows)


def train(task: Watched, loop: LoopConfig, steps: int, step: Callable[[int], None] = lambda done: None) -> list[float]:
    """Train so many steps; their losses."""

    def told(done: int, total: int) -> None:
        step(done)
        if done == steps:
            raise EnoughError

    with tempfile.TemporaryDirectory() as folder, suppress(EnoughError):
        fit(task, loop, Path(folder) / "checkpoint.pt", "", lambda progress: None, told)
    return [float(loss) for loss in task.losses]


def speed(name: str, device: str, batch_size: int, steps: int, bf16: bool) -> None:
    """Seconds a step, after two that warm up."""
    warm = 2
    with tempfile.TemporaryDirectory() as folder:
        windows = window_set(name, batch_size * (steps + warm), Path(folder))
        loop = LoopConfig(epochs=1, batch_size=batch_size, bf16=bf16)
        task = task_on(name, device, windows, loop)
        at: dict[int, float] = {}

        def step(done: int) -> None:
            if done in (warm, steps + warm):
                if device == "cuda":
                    torch.cuda.synchronize()
                at[done] = time.perf_counter()

        train(task, loop, steps + warm, step)
    seconds = (at[steps + warm] - at[warm]) / steps
    row: dict[str, object] = {"what": "speed", "explainer": name, "device": device, "bf16": bf16, "batch": batch_size}
    row |= {"steps": steps, "s_a_step": round(seconds, 4), "windows_a_s": round(batch_size / seconds, 2)}
    row["hours_for_100000_windows_x_10_epochs"] = round(seconds * WINDOWS * EPOCHS / batch_size / 3600, 1)
    if device == "cuda":
        row["peak_gib"] = round(torch.cuda.max_memory_allocated() / 2**30, 1)
        torch.cuda.reset_peak_memory_stats()
    print(json.dumps(row), flush=True)


def agreement(name: str, device: str, batch_size: int, steps: int) -> bool:
    """Whether the losses of the same steps agree with the CPU's; on a CPU itself they are the same."""
    with tempfile.TemporaryDirectory() as folder:
        windows = window_set(name, batch_size * steps, Path(folder))
        loop = LoopConfig(epochs=1, batch_size=batch_size, bf16=False)
        # Convolutions of a GPU round their input to ten bits otherwise.
        with torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False):
            here, there = (train(task_on(name, where, windows, loop), loop, steps) for where in ("cpu", device))
    first = abs(there[0] - here[0]) / abs(here[0])
    mean = abs(np.mean(there) - np.mean(here)) / abs(np.mean(here))
    agrees = bool(first <= FIRST_STEP and mean <= ALL_STEPS and all(map(math.isfinite, there)))
    row: dict[str, object] = {"what": "agreement", "explainer": name, "device": device, "batch": batch_size}
    row |= {"cpu": [round(loss, 5) for loss in here], "there": [round(loss, 5) for loss in there]}
    row |= {"first_step_off": float(f"{first:.2e}"), "mean_off": float(f"{mean:.2e}"), "agrees": agrees}
    print(json.dumps(row), flush=True)
    return agrees


def goes_on(name: str, device: str, batch_size: int) -> bool:
    """Whether a training of two epochs, the first on the device, ends on the CPU."""
    epochs: list[Progress] = []

    class Stopped(Exception):  # noqa: N818 - it is no error
        pass

    def stop(progress: Progress) -> None:
        epochs.append(progress)
        raise Stopped

    with tempfile.TemporaryDirectory() as folder:
        windows = window_set(name, batch_size, Path(folder))
        loop = LoopConfig(epochs=2, batch_size=batch_size, bf16=device != "cpu")
        checkpoint = Path(folder) / "checkpoint.pt"
        with suppress(Stopped):
            fit(task_on(name, device, windows, loop), loop, checkpoint, "", stop)
        state = fit(task_on(name, "cpu", windows, loop), loop, checkpoint, "", epochs.append)
    losses = [float(epoch["train_loss"]) for epoch in state.history]
    goes = [progress.epoch for progress in epochs] == [1, 2] and all(map(math.isfinite, losses))
    print(
        json.dumps({"what": "goes on", "explainer": name, "from": device, "to": "cpu", "losses": losses, "goes": goes})
    )
    return goes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--explainers", nargs="+", default=["clap", "esc10"])
    parser.add_argument("--batches", nargs="+", type=int, default=[8, 32], help="windows of a step, on the device")
    parser.add_argument("--steps", type=int, default=30, help="steps that are timed, on the device")
    parser.add_argument("--cpu-batch", type=int, default=8)
    parser.add_argument("--cpu-steps", type=int, default=3)
    parser.add_argument("--compared", type=int, default=4, help="windows of a step that is compared")
    arguments = parser.parse_args()
    device = arguments.device
    card = torch.cuda.get_device_name() if device == "cuda" else platform.processor() or platform.machine()
    about = {"device": card, "torch": torch.__version__, "threads": torch.get_num_threads()}
    print(json.dumps(about), flush=True)
    sound = True
    for name in arguments.explainers:
        # What must be known first, should the time run out.
        for batch_size in arguments.batches if device != "cpu" else []:
            speed(name, device, batch_size, arguments.steps, bf16=True)
        sound &= agreement(name, device, arguments.compared, arguments.cpu_steps)
        speed(name, "cpu", arguments.cpu_batch, arguments.cpu_steps, bf16=True)
    sound &= goes_on(arguments.explainers[-1], device, arguments.compared)
    sys.exit(0 if sound else 1)


if __name__ == "__main__":
    main()
