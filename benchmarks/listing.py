"""Listing and planning a large input: seconds and memory, for loose files, which are listed one by one, and for tars.

python -m benchmarks.listing --files 1000000 --tars 1000
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from pipeline.flow.plan import plan
from pipeline.inputs.listing import list_input
from schemas.records import CommitRecord

PER_FOLDER = 1000
_LINKS = 50_000  # a file of ext4 has at most 65,000 names


def write_files(folder: Path, count: int, suffix: str) -> None:
    """So many files, a thousand to a folder, most of them names of one file."""
    for number in range(count):
        place = folder / f"{number // PER_FOLDER:06d}" / f"{number % PER_FOLDER:06d}{suffix}"
        if number % PER_FOLDER == 0:
            place.parent.mkdir(parents=True)
        if number % _LINKS == 0:
            first = place
            first.write_bytes(b"x" * 100)
        else:
            os.link(first, place)


def measure(folder: str) -> dict[str, float]:
    """List an input and plan a run over it, in this process; seconds of each, shards, and MiB above the start."""

    def peak() -> float:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

    def nothing(shard_id: str, part: int) -> CommitRecord:
        raise LookupError(shard_id)

    before, started = peak(), time.perf_counter()
    listing = list_input(folder)
    listed = time.perf_counter()
    work = plan(listing.shards, {}, nothing)
    planned = time.perf_counter()
    return {
        "shards": len(work),
        "listing_s": listed - started,
        "planning_s": planned - listed,
        "mib": peak() - before,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=1_000_000)
    parser.add_argument("--tars", type=int, default=1000)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.folder:
        print(json.dumps(measure(arguments.folder)))
        return
    print("input                 shards  s to list  s to plan  MiB")
    for count, suffix in ((arguments.files, ".wav"), (arguments.tars, ".tar")):
        with tempfile.TemporaryDirectory() as name:
            write_files(Path(name), count, suffix)
            command = [sys.executable, "-m", "benchmarks.listing", "--folder", name]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            row = json.loads(done.stdout)
            shown = f"{count:,} {suffix} files"
            print(
                f"{shown:22}{row['shards']:7,.0f} {row['listing_s']:10.1f} {row['planning_s']:10.2f} {row['mib']:6.0f}"
            )


if __name__ == "__main__":
    main()
