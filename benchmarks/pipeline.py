"""A run from storage to committed tables, as a share of what the explainer does alone:

python -m benchmarks.pipeline data/esc10 --recordings 128 --precision bf16

*explain* is `explain_batches` on windows in memory, in a process of its own, with as many threads as the actors of a
run have in all. The runs read tars from S3 (rclone) and write to it, with a listenable for 5% of the windows and for
all; their rate is that of `lmac status`, from the begin of the first part on, without the start of Ray and of the
explainer. All take turns.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from pipeline.flow.run import explain_dataset
from pipeline.inputs.suffixes import is_audio
from pipeline.runs.progress import read_progress
from tests.s3 import serve_s3

BATCH, PART = 16, 32
LISTENED = {"listenables for 5%": "share:0.05", "listenables for all": "all"}
# In a process of its own, as an actor is.
ALONE = """
import json, sys, time
import numpy as np, torch
from pathlib import Path
from tempfile import TemporaryDirectory
from pipeline.inputs.load_windows import load_windows
from pipeline.lmac.batches import Wanted, explain_batches
from pipeline.lmac.explainer import Explainer
from pipeline.lmac.memory import keep_freed_memory
from schemas.targets import Targets

source, name, precision, batch, share = sys.argv[1:]
keep_freed_memory(torch.device("cpu"))
explainer = Explainer.load(name, "cpu", precision)
with TemporaryDirectory() as scratch:
    found = load_windows(source, explainer.config.front_end, Path(scratch))
    waveforms = found.waveforms(torch.arange(len(found))).numpy()
n = len(waveforms)
every = np.ones(n, bool)
listened = np.arange(n) < round(float(share) * n)
wanted = Wanted(Targets.parse("top1"), "soft", 0, ("masked_in",), every, listened, every)
first = Wanted(*[wanted.targets, "soft", 0, ("masked_in",)], *[one[: int(batch)] for one in (every, listened, every)])
lengths = np.full(n, waveforms.shape[1])
explain_batches(explainer, waveforms[: int(batch)], lengths[: int(batch)], first, int(batch))
begun = time.perf_counter()
explain_batches(explainer, waveforms, lengths, wanted, int(batch))
print(json.dumps(n / (time.perf_counter() - begun)))
"""


def alone(source: str, explainer: str, precision: str, threads: int, share: float) -> float:
    """Windows a second of `explain_batches`."""
    command = [sys.executable, "-c", ALONE, source, explainer, precision, str(BATCH), str(share)]
    done = subprocess.run(
        command, env={**os.environ, "OMP_NUM_THREADS": str(threads)}, stdout=subprocess.PIPE, check=True
    )
    return float(json.loads(done.stdout.splitlines()[-1]))


def pack(files: list[Path], folder: Path, tars: int) -> None:
    """Put recordings into so many tars."""
    folder.mkdir(parents=True)
    for number in range(tars):
        with tarfile.open(folder / f"{number:03d}.tar", "w") as tar:
            for path in files[number::tars]:
                tar.add(path, arcname=path.name)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("input", type=Path)
    parser.add_argument("--explainer", default="esc10")
    parser.add_argument("--recordings", type=int, default=128)
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--actors", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2, help="of all actors together")
    given = parser.parse_args()
    files = sorted(path for path in given.input.rglob("*") if is_audio(path.name))
    chosen = files[:: max(1, len(files) // given.recordings)][: given.recordings]
    ratios: dict[str, list[float]] = {name: [] for name in LISTENED}
    with tempfile.TemporaryDirectory() as scratch, serve_s3(Path(scratch, "s3")) as server:
        pack(chosen, server.bucket_dir / "in", 2 * given.actors)
        pack(chosen, Path(scratch, "in"), 1)
        for number in range(given.rounds):
            for name, listen in LISTENED.items():
                share = 1.0 if listen == "all" else 0.05
                own = alone(f"{scratch}/in", given.explainer, given.precision, given.threads, share)
                out = f"{server.bucket_url}/out-{number}-{share}"
                explain_dataset(
                    f"{server.bucket_url}/in",
                    out,
                    explainer=given.explainer,
                    precision=given.precision,
                    listen=listen,
                    part_windows=PART,
                    actors=given.actors,
                    cpus_per_actor=max(1, given.threads // given.actors),
                    device="cpu",
                )
                rate = read_progress(out).windows_per_s
                assert rate is not None
                ratios[name].append(rate / own)
                print(f"{name}: explain {own:.2f} windows/s, a run {rate:.2f}", flush=True)
    for name, found in ratios.items():
        print(f"{name}: {statistics.median(found):.2f} of explain ({min(found):.2f} to {max(found):.2f})")


if __name__ == "__main__":
    main()
