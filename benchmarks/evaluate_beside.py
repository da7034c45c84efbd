"""`lmac evaluate` by this code and by that of another checkout, in turns, each as a command of its own:

git worktree add ../before COMMIT
python -m benchmarks.evaluate_beside ../before data/esc10

Recordings clean and as mixtures, by lmac, integrated gradients, energy and chance. Prints seconds, and the ratio to the
other checkout of each round with its spread; and how far p of what masks of equal size keep differs in bf16.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

COMMAND = "from jobs.cli import main; main()"


def once(checkout: Path, esc10: str, out: Path, recordings: int, threads: int, options: list[str]) -> float:
    """Seconds of one evaluation by the code of a checkout."""
    arguments = ["evaluate", esc10, "--out", str(out), "--contaminate", "mixture", "--no-sanity"]
    arguments += ["--limit", str(recordings), "--methods", "integrated_gradients,energy,random", *options]
    environment = {**os.environ, "PYTHONPATH": str(checkout), "OMP_NUM_THREADS": str(threads)}
    begun = time.perf_counter()
    subprocess.run(
        [sys.executable, "-c", COMMAND, *arguments],
        env=environment,
        cwd=checkout,
        stdout=subprocess.DEVNULL,
        check=True,
    )
    return time.perf_counter() - begun


def p_in(out: Path) -> np.ndarray:
    """p of what each mask of equal size keeps, in the order of the table of curves."""
    table = pq.read_table(out / "curves.parquet")
    named = [(name, "ascending") for name in ("audio", "method", "ranking", "by", "budget", "window")]
    return table.sort_by(named)["p_in"].to_numpy()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkout", type=Path, help="the other checkout")
    parser.add_argument("esc10", help="folder of ESC-10")
    parser.add_argument("--recordings", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    here = Path(__file__).parents[1]
    ways = [("before", given.checkout, []), ("now, fp32", here, []), ("now, bf16", here, ["--precision", "bf16"])]
    taken: dict[str, list[float]] = {way: [] for way, _, _ in ways}
    with tempfile.TemporaryDirectory() as folder:
        outs = {}
        for number in range(given.rounds):
            for way, checkout, options in ways[:: 1 if number % 2 else -1]:
                # Another folder each time: nothing is taken from an earlier round.
                outs[way] = Path(folder, f"{way}-{number}")
                recordings = (given.esc10, outs[way], given.recordings, given.threads)
                taken[way].append(once(checkout, *recordings, options))
                print(f"{way}: {taken[way][-1]:.1f} s", flush=True)
        difference = np.abs(p_in(outs["now, fp32"]) - p_in(outs["now, bf16"]))
    print(f"{given.recordings} recordings, {given.threads} threads")
    for way, seconds in taken.items():
        ratios = sorted(one / mine for one, mine in zip(taken["before"], seconds, strict=True))
        print(
            f"{way}: {statistics.median(seconds):.1f} s, {statistics.median(ratios):.2f} times as fast "
            f"({ratios[0]:.2f} to {ratios[-1]:.2f})"
        )
    print(f"p_in of masks of equal size, bf16 against fp32: mean {difference.mean():.4f}, most {difference.max():.3f}")


if __name__ == "__main__":
    main()
