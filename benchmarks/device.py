"""What one device makes of the explainer's work, at several sizes of a batch, in fp32 and in bf16:

python -m benchmarks.device --device cuda --windows windows.npy

Prints windows a second of `explain_batches`, which is what an actor calls, beside the same work on tensors that are on
the device already and beside the networks alone; which bits of a mask depend on a window's neighbours, its place, the
batch's size and the device; what bf16 changes; and where the time goes, by kernel. `--windows` is an array `[W, n]`
int16 of real sound at 32 kHz; without it the sound is synthetic. The CLAP is of real size with random weights: its time
and its bits are those of trained weights, its explanations are not.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch

from pipeline.audio.pcm import from_pcm
from pipeline.lmac.batches import ExplainedWindows, Wanted, explain_batches
from pipeline.lmac.explainer import Explainer
from pipeline.models.build import build_classifier, build_decoder
from pipeline.models.clap.laion import FRONT_END
from schemas.explainer_config import ClapConfig, ExplainerConfig, Precision
from schemas.targets import Targets
from schemas.training_config import DecoderRecipe


def load(name: str, device: str, precision: Precision) -> Explainer:
    """The explainer that ships under a name, or `clap`: one of real size, its weights random."""
    if name != "clap":
        return Explainer.load(name, device, precision)
    torch.manual_seed(0)
    config = ExplainerConfig(
        name="clap",
        labels=tuple(f"class {number}" for number in range(10)),
        front_end=FRONT_END,
        classifier=ClapConfig(),
        decoder=DecoderRecipe().decoder.fitted(6),
    )
    classifier = build_classifier(config)
    return Explainer(config, classifier, build_decoder(config, classifier), device, "", precision)


def sounds(explainer: Explainer, count: int, real: Path | None) -> np.ndarray:
    """Windows `[count, n]` float32 as long as the explainer's, of real sound if there is some."""
    n = explainer.config.front_end.window_samples
    if real is None:
        noise = np.random.default_rng(0).standard_normal(n * 8).astype(np.float32)
        recorded = 0.1 * noise * np.abs(np.sin(np.arange(len(noise)) / 9000)).astype(np.float32)
    else:
        recorded = from_pcm(np.load(real, allow_pickle=False)).ravel()
    starts = np.arange(count) * (len(recorded) - n) // max(count - 1, 1)
    return np.stack([recorded[start : start + n] for start in starts])


def wanted(count: int, listen: float = 0.05, audio: bool = True) -> Wanted:
    """One target, all masks, a share of the listenables, the written audio's scores or none."""
    drawn = np.arange(count) % round(1 / listen) == 0
    return Wanted(Targets.parse("top1"), "soft", 0, ("masked_in",), np.ones(count, bool), drawn, np.full(count, audio))


def explain(explainer: Explainer, x: np.ndarray, batch_size: int, audio: bool = True) -> ExplainedWindows:
    """All windows `[W, n]`, all of each sound."""
    lengths = np.full(len(x), x.shape[1])
    return explain_batches(explainer, x, lengths, wanted(len(x), audio=audio), batch_size)


def seconds(work: Callable[[], object], device: str, repeats: int) -> float:
    """The median of so many runs, after one that warms up."""
    times = []
    for _ in range(repeats + 1):
        begun = time.perf_counter()
        work()
        if device == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - begun)
    return statistics.median(times[1:])


def resident(explainer: Explainer, x: torch.Tensor, audio: bool) -> None:
    """The same work on a batch `[B, n]` that is on the device, and stays there."""
    windows = explainer.passes.classify(x, None, Targets.parse("top1"))
    masked = explainer.passes.mask(windows, 0)
    sound, _ = explainer.passes.listenables(windows, masked)
    if audio:
        explainer.passes.score_audio(windows.probabilities, masked.target, sound)


def networks(explainer: Explainer, magnitude: torch.Tensor, audio: bool) -> None:
    """The passes of the networks that the tables ask for, on magnitudes `[B, F, T]`: the floor."""
    both = torch.cat([magnitude, magnitude])
    explainer.passes.rank(magnitude)
    with explainer.passes.scoring():
        for _ in range(2 if audio else 1):
            explainer.passes.folded(both)


def speed(arguments: argparse.Namespace, name: str, precision: Precision, compiled: bool) -> None:
    """Windows a second by size of batch."""
    device = arguments.device
    for batch_size in arguments.batches[name]:
        explainer = load(name, device, precision)
        torch.compiler.reset()
        if compiled:
            explainer.passes.compile()
        x = sounds(explainer, batch_size * arguments.rounds, arguments.windows)
        try:
            begun = time.perf_counter()
            explain(explainer, x[:batch_size], batch_size)
            first = time.perf_counter() - begun
            on_device = torch.from_numpy(x[:batch_size]).to(device)
            magnitude = explainer.passes.folded.front_end.stft(on_device).abs()
            row: dict[str, object] = {"what": "speed", "explainer": name, "precision": precision, "batch": batch_size}
            row |= {"compiled": compiled, "first_s": round(first, 1)}
            for audio in (True, False):
                end = "" if audio else "_no_audio"
                taken = seconds(partial(explain, explainer, x, batch_size, audio), device, arguments.repeats)
                there = seconds(partial(resident, explainer, on_device, audio), device, arguments.repeats)
                floor = seconds(partial(networks, explainer, magnitude, audio), device, arguments.repeats)
                row["explain" + end] = round(len(x) / taken, 1)
                row["resident" + end] = round(batch_size / there, 1)
                row["networks" + end] = round(batch_size / floor, 1)
            if device == "cuda":
                row["peak_gib"] = round(torch.cuda.max_memory_allocated() / 2**30, 1)
                torch.cuda.reset_peak_memory_stats()
            print(json.dumps(row), flush=True)
        except torch.OutOfMemoryError as error:
            print(json.dumps({"what": "speed", "explainer": name, "batch": batch_size, "error": str(error)[:80]}))


def bits(arguments: argparse.Namespace, name: str, precision: Precision, compiled: bool) -> None:
    """How far masks depend on what stands beside a window, and on the batch's size and the device."""
    explainer = load(name, arguments.device, precision)
    if compiled:
        explainer.passes.compile()
    x = sounds(explainer, 16, arguments.windows)
    size = 16
    alone = explain(explainer, x, size)
    turned = explain(explainer, x[::-1].copy(), size)
    padded = explain(explainer, x[:5], size)
    others = x.copy()
    others[1:] = sounds(explainer, 31, arguments.windows)[16:]
    mixed = explain(explainer, others, size)
    small = explain(explainer, x, 4)
    single = explain(explainer, x, 1)
    again = explain(explainer, x, size)
    pairs = {
        "again": (again.mask, alone.mask),
        "place": (turned.mask[::-1], alone.mask),
        "padding": (padded.mask, alone.mask[:5]),
        "neighbours": (mixed.mask[:1], alone.mask[:1]),
        "batch 4": (small.mask, alone.mask),
        "batch 1": (single.mask, alone.mask),
    }
    if arguments.device != "cpu":
        cpu = explain(load(name, "cpu", precision), x[:4], 4)
        pairs["cpu"] = (cpu.mask, alone.mask[:4])
    for what, (a, b) in pairs.items():
        _differences("bits", name, precision, what, a, b, compiled)


def _differences(
    what: str, name: str, precision: str, which: str, a: np.ndarray, b: np.ndarray, compiled: bool
) -> None:
    off = np.abs(a.astype(int) - b.astype(int))
    row = {"what": what, "explainer": name, "precision": precision, "compiled": compiled, "pair": which}
    row |= {"bins_differ": int((off > 0).sum()), "worst": int(off.max()), "more_than_1": float((off > 1).mean())}
    print(json.dumps(row), flush=True)


def precisions(arguments: argparse.Namespace, name: str, compiled: bool) -> None:
    """What bf16 changes on the same windows."""
    made = {}
    for precision in ("fp32", "bf16"):
        explainer = load(name, arguments.device, precision)
        if compiled and precision == "bf16":
            explainer.passes.compile()
        x = sounds(explainer, arguments.compared, arguments.windows)
        made[precision] = explain(explainer, x, 16)
    full, half = made["fp32"], made["bf16"]
    off = np.abs(full.mask.astype(float) - half.mask) / 255
    row = {
        "what": "precision",
        "explainer": name,
        "compiled": compiled,
        "windows": arguments.compared,
        "labels_agree": float((full.target_index == half.target_index).mean()),
        "mask_mean_off": float(off.mean()),
        "mask_p999_off": float(np.quantile(off, 0.999)),
        **{
            name: [round(float(made[p].scores[name].mean()), 4) for p in ("fp32", "bf16")]
            for name in ("ad", "ff", "fid_in", "ad_audio", "ff_audio", "mask_mean", "sps")
        },
    }
    print(json.dumps(row), flush=True)


def kernels(arguments: argparse.Namespace, name: str, precision: Precision, compiled: bool) -> None:
    """Where the device's time goes, and its share of the wall clock."""
    explainer = load(name, arguments.device, precision)
    if compiled:
        explainer.passes.compile()
    batch_size = arguments.batches[name][-1]
    x = sounds(explainer, 4 * batch_size, arguments.windows)
    explain(explainer, x, batch_size)
    activities = [torch.profiler.ProfilerActivity.CPU]
    if arguments.device == "cuda":
        activities.append(torch.profiler.ProfilerActivity.CUDA)
    with torch.profiler.profile(activities=activities) as profile:
        begun = time.perf_counter()
        explain(explainer, x, batch_size)
        wall = time.perf_counter() - begun
    print(
        f"-- kernels: {name} {precision} compiled={compiled} batch {batch_size}: wall {1000 * wall:.0f} ms for {len(x)}"
    )
    by = "self_device_time_total" if arguments.device == "cuda" else "self_cpu_time_total"
    print(profile.key_averages().table(sort_by=by, row_limit=18, max_name_column_width=70), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--windows", type=Path)
    parser.add_argument("--explainers", nargs="+", default=["esc10", "clap"])
    parser.add_argument("--precisions", nargs="+", default=["fp32", "bf16"])
    parser.add_argument("--parts", nargs="+", default=["speed", "bits", "precision", "kernels"])
    parser.add_argument("--batches", default='{"esc10": [16, 64, 256], "clap": [16, 64]}', type=json.loads)
    parser.add_argument("--compiled", nargs="+", type=int, default=[0])
    parser.add_argument("--rounds", type=int, default=8, help="batches of a run")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--compared", type=int, default=64, help="windows for the comparison of precisions")
    arguments = parser.parse_args()
    card = torch.cuda.get_device_name() if arguments.device == "cuda" else platform.processor() or platform.machine()
    print(json.dumps({"device": card, "torch": torch.__version__, "threads": torch.get_num_threads()}), flush=True)
    for name in arguments.explainers:
        for compiled in arguments.compiled:
            for precision in arguments.precisions:
                if "bits" in arguments.parts:
                    bits(arguments, name, precision, bool(compiled))
                if "speed" in arguments.parts:
                    speed(arguments, name, precision, bool(compiled))
                if "kernels" in arguments.parts:
                    kernels(arguments, name, precision, bool(compiled))
            if "precision" in arguments.parts:
                precisions(arguments, name, bool(compiled))


if __name__ == "__main__":
    main()
