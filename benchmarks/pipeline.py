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
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from benchmarks.figures import Figure, ratios, table
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


def run_rate(
    input_url: str, out: str, explainer: str, precision: str, listen: str, actors: int, threads: int, part_windows: int
) -> float:
    """Windows a second of a run, from the begin of its first part on."""
    explain_dataset(
        input_url,
        out,
        explainer=explainer,
        precision=precision,
        listen=listen,
        part_windows=part_windows,
        actors=actors,
        cpus_per_actor=max(1, threads // actors),
        device="cpu",
    )
    rate = read_progress(out).windows_per_s
    assert rate is not None
    return rate


def measure(
    files: list[Path], explainer: str, precision: str, rounds: int, actors: int, threads: int = 2
) -> list[Figure]:
    """Windows a second of explaining alone and of runs, and their ratio."""
    alones: dict[str, list[float]] = {name: [] for name in LISTENED}
    runs: dict[str, list[float]] = {name: [] for name in LISTENED}
    with tempfile.TemporaryDirectory() as scratch, serve_s3(Path(scratch, "s3")) as server:
        pack(files, server.bucket_dir / "in", 2 * actors)
        pack(files, Path(scratch, "in"), 1)
        for number in range(rounds):
            for name, listen in LISTENED.items():
                share = 1.0 if listen == "all" else 0.05
                alones[name].append(alone(f"{scratch}/in", explainer, precision, threads, share))
                source, out = f"{server.bucket_url}/in", f"{server.bucket_url}/out-{number}-{share}"
                runs[name].append(run_rate(source, out, explainer, precision, listen, actors, threads, PART))
                print(f"{name}: explain {alones[name][-1]:.2f} windows/s, a run {runs[name][-1]:.2f}", flush=True)
    part = f"pipeline: {explainer}, {precision}, S3"
    made = []
    for name in LISTENED:
        how = f"{name}, {actors} actor{'s' if actors > 1 else ''} with {threads} threads in all"
        made += [
            Figure(part, f"explain alone, {how}", "windows/s", tuple(alones[name])),
            Figure(part, f"a run, {how}", "windows/s", tuple(runs[name])),
            ratios(part, f"run / explain, {how}", runs[name], alones[name], "share"),
        ]
    return made


def drawn(folder: Path, count: int) -> list[Path]:
    """So many recordings of a folder, evenly over it."""
    files = sorted(path for path in folder.rglob("*") if is_audio(path.name))
    return files[:: max(1, len(files) // count)][:count]


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
    files = drawn(given.input, given.recordings)
    print(table(measure(files, given.explainer, given.precision, given.rounds, given.actors, given.threads)))


if __name__ == "__main__":
    main()
