"""The rate of a run by its number of actors, the size of its parts, and whether recordings are in shards or loose:

python -m benchmarks.scale data/esc10 --recordings 96

All runs use the same recordings and two threads in all, on disk, and take turns.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path

from benchmarks.figures import Figure, ratios, table
from benchmarks.pipeline import drawn, pack, run_rate

THREADS = 2
# Actors, windows a part, and the folder of the input.
WAYS = {
    "1 actor, tars, parts of 32": (1, 32, "tars"),
    "2 actors, tars, parts of 32": (2, 32, "tars"),
    "1 actor, tars, parts of 8": (1, 8, "tars"),
    "1 actor, loose files, parts of 32": (1, 32, "loose"),
}


def measure(files: list[Path], explainer: str, precision: str, rounds: int) -> list[Figure]:
    """Windows a second of each way, and the ratio of each to the first."""
    rates: dict[str, list[float]] = {name: [] for name in WAYS}
    with tempfile.TemporaryDirectory() as scratch:
        pack(files, Path(scratch, "tars"), 4)
        Path(scratch, "loose").mkdir()
        for number, path in enumerate(files):
            shutil.copy(path, Path(scratch, "loose", f"{number:05d}{path.suffix}"))
        for number in range(rounds):
            for name, (actors, part_windows, folder) in WAYS.items():
                out = f"{scratch}/out-{number}-{len(rates[name])}-{name.replace(' ', '-')}"
                source = f"{scratch}/{folder}"
                rates[name].append(
                    run_rate(source, out, explainer, precision, "share:0.05", actors, THREADS, part_windows)
                )
                print(f"{name}: {rates[name][-1]:.2f} windows/s", flush=True)
    part = f"scale: {explainer}, {precision}, {THREADS} threads in all"
    first, *others = WAYS
    return [
        *(Figure(part, name, "windows/s", tuple(found)) for name, found in rates.items()),
        *(ratios(part, f"{name} / {first}", rates[name], rates[first]) for name in others),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("input", type=Path)
    parser.add_argument("--explainer", default="esc10")
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--recordings", type=int, default=96)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    print(table(measure(drawn(given.input, given.recordings), given.explainer, given.precision, given.rounds)))


if __name__ == "__main__":
    main()
