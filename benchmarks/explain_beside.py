"""Explaining windows by this code and by that of another checkout, in turns, each in a process of its own:

git worktree add ../before COMMIT
python -m benchmarks.explain_beside ../before --esc10 data/esc10 --explainer esc10
python -m benchmarks.explain_beside ../before --explainer clap --windows 4

Prints windows a second, the ratio to the other checkout of each round with its spread, and the peak memory of a
process. `clap` is a CLAP of real size with random weights; without --esc10 windows are of synthetic sound.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

BATCH = 16


def once(explainer: str, windows: Path, precision: str) -> dict[str, float]:
    """Windows a second of a second pass over an array `[W, n]`, and the peak memory of this process in MiB."""
    # The code of whichever checkout PYTHONPATH names.
    from pipeline.lmac.explainer import Explainer

    try:  # As an actor does, where there is such.
        from pipeline.lmac.memory import keep_freed_memory

        keep_freed_memory(torch.device("cpu"))
    except ImportError:
        pass
    extra: dict[str, Any] = {} if precision == "fp32" else {"precision": precision}
    loaded = Explainer.load(explainer, "cpu", **extra)
    explain = getattr(loaded, "explain_windows", loaded.explain)
    x = np.load(windows)
    explain(x[:BATCH])
    begun = time.perf_counter()
    for first in range(0, len(x), BATCH):
        explain(x[first : first + BATCH])
    taken = time.perf_counter() - begun
    return {"rate": len(x) / taken, "mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def elsewhere(checkout: Path, explainer: str, windows: Path, precision: str, threads: int) -> dict[str, float]:
    """The same by the code of a checkout."""
    command = [sys.executable, os.path.abspath(__file__), str(windows), "--once", precision, "--explainer", explainer]
    environment = {**os.environ, "PYTHONPATH": str(checkout), "OMP_NUM_THREADS": str(threads)}
    done = subprocess.run(command, env=environment, cwd=checkout, stdout=subprocess.PIPE, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def prepare(arguments: argparse.Namespace, folder: Path) -> tuple[str, Path]:
    """Where the explainer lies that both load, and the windows."""
    from benchmarks.device import load, sounds
    from pipeline.inputs.load_windows import load_windows
    from pipeline.models.checkpoint import save_explainer

    name: str = arguments.explainer
    explainer = load(name, "cpu", "fp32")
    if name == "clap":
        name = str(folder / "clap")
        save_explainer(name, explainer.config, explainer.classifier, explainer.decoder, "# random weights\n")
    if arguments.esc10 is None:
        x = sounds(explainer, arguments.windows, None)
    else:
        found = load_windows(str(arguments.esc10), explainer.config.front_end, folder)
        x = found.waveforms(torch.arange(len(found))[: arguments.windows]).numpy()
    np.save(folder / "windows.npy", x)
    return name, folder / "windows.npy"


def main() -> None:
    """Time both in turns."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkout", type=Path, help="the other checkout")
    parser.add_argument("--esc10", type=Path)
    parser.add_argument("--explainer", default="esc10")
    parser.add_argument("--windows", type=int, default=80)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--once", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.once:
        print(json.dumps(once(given.explainer, given.checkout, given.once)))
        return
    here = Path(__file__).parents[1]
    with tempfile.TemporaryDirectory() as folder:
        name, windows = prepare(given, Path(folder))
        ways = [("before, fp32", given.checkout, "fp32"), ("now, fp32", here, "fp32"), ("now, bf16", here, "bf16")]
        rounds: list[dict[str, dict[str, float]]] = []
        for number in range(given.rounds):
            order = ways[:: 1 if number % 2 else -1]
            rounds.append({way: elsewhere(at, name, windows, how, given.threads) for way, at, how in order})
        for way, _, _ in ways:
            rates = [one[way]["rate"] for one in rounds]
            ratios = sorted(one[way]["rate"] / one["before, fp32"]["rate"] for one in rounds)
            print(
                f"{given.explainer} {way}: {statistics.median(rates):.2f} windows/s, "
                f"{statistics.median(ratios):.2f} times ({ratios[0]:.2f} to {ratios[-1]:.2f}), "
                f"{max(one[way]['mib'] for one in rounds):.0f} MiB"
            )


if __name__ == "__main__":
    main()
