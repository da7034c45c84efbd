"""The most memory that the processes of a run hold, by the number of windows:

python -m benchmarks.memory --windows 1000 100000

The explainer is tiny, with random weights, so that many windows take minutes: what could grow with a run is its lists
and tables, not its networks. Twenty recordings of 50 windows make a tar, which lies there under many names.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import tarfile
import tempfile
import time
from pathlib import Path

from benchmarks.actor_memory import PROC, peaks_below
from benchmarks.comparing import explain_command
from benchmarks.figures import Figure, table
from tests.flow.make import save_tiny, short_clips, write_folder

SECONDS, RECORDINGS = 50, 20
PER_TAR = SECONDS * RECORDINGS
OPTIONS = ["--actors", "1", "--cpus-per-actor", "1", "--device", "cpu", "--listen", "share:0.05"]


def write_tars(folder: Path, windows: int) -> None:
    """Tars of so many windows in all."""
    folder.mkdir()
    recordings = Path(write_folder(folder / "recordings", short_clips(RECORDINGS, seconds=float(SECONDS))))
    with tarfile.open(folder / "000000.tar", "w") as tar:
        for path in sorted(recordings.iterdir()):
            tar.add(path, arcname=path.name)
            path.unlink()
    recordings.rmdir()
    for number in range(1, windows // PER_TAR):
        os.link(folder / "000000.tar", folder / f"{number:06d}.tar")


def peaks(windows: int) -> dict[str, int]:
    """Bytes by role: the driver, an actor, and a process that decodes or writes."""
    found: dict[str, int] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        explainer = save_tiny(folder / "tiny")
        write_tars(folder / "in", windows)
        command = explain_command(str(folder / "in"), str(folder / "out"), ["--explainer", explainer, *OPTIONS])
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        while process.poll() is None:
            for role, resident in peaks_below(process.pid).items():
                found[role] = max(found.get(role, 0), resident)
            time.sleep(0.2)
        if process.returncode:
            raise RuntimeError(f"the run ended with {process.returncode}")
    return found


def measure(counts: list[int]) -> list[Figure]:
    """Peaks in MiB for each number of windows, and the ratio of the last to the first."""
    if any(count % PER_TAR or not count for count in counts):
        raise SystemExit(f"--windows: give multiples of {PER_TAR}")
    if not PROC.is_dir():
        raise SystemExit("peaks of memory are read from /proc: run this on Linux")
    taken = {count: peaks(count) for count in counts}
    figures = []
    for role in sorted(set.intersection(*map(set, taken.values()))):
        mib = {count: taken[count][role] / 2**20 for count in counts}
        figures += [Figure("memory", f"{role}, {count:,} windows", "MiB", (value,)) for count, value in mib.items()]
        growth = mib[counts[-1]] / mib[counts[0]]
        figures.append(Figure("memory", f"{role}, {counts[-1]:,} / {counts[0]:,} windows", "times", (growth,)))
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--windows", type=int, nargs="+", default=[1000, 100_000])
    given = parser.parse_args()
    print(table(measure(given.windows)))


if __name__ == "__main__":
    main()
