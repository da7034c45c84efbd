"""What lmac makes of a machine: each figure is paired within one run, with its spread, and the machine beside it.

python -m benchmarks data/esc10 --out figures.json

Prints a table of Markdown at the end and writes JSON. *floor*: explaining against its networks alone; *pipeline*: a run
on S3 against explaining alone; *peers*: captum's methods, a researcher's loop and Ray Data; *memory*: the processes of
short and long runs; *scale*: actors, sizes of parts, loose files. docs/PERFORMANCE.md has what was measured.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks import floor, memory, peers, pipeline, scale
from benchmarks.figures import Figure, machine, table, write_json

PARTS = ("floor", "pipeline", "peers", "memory", "scale")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("input", type=Path, help="a folder of recordings, such as ESC-10")
    parser.add_argument("--out", type=Path, default=Path("figures.json"))
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--precisions", nargs="+", choices=("fp32", "bf16"), default=("fp32", "bf16"))
    parser.add_argument("--device", default="auto", help="of the floor; the other parts run on the CPU")
    parser.add_argument("--recordings", type=int, default=96)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--windows", type=int, nargs="+", default=[1000, 20_000], help="of the runs for memory")
    given = parser.parse_args()
    files = pipeline.drawn(given.input, given.recordings)
    made: list[Figure] = []

    def keep(figures: list[Figure]) -> None:
        made.extend(figures)
        write_json(given.out, made)  # what was measured stays, whatever comes
        print(table(figures), flush=True)

    print(machine(), flush=True)
    for precision in given.precisions:
        if "floor" in given.parts:
            keep(floor.measure("esc10", precision, given.device, given.rounds))
        if "pipeline" in given.parts:
            keep(pipeline.measure(files, "esc10", precision, given.rounds, actors=1))
        if "scale" in given.parts:
            keep(scale.measure(files, "esc10", precision, given.rounds))
    if "peers" in given.parts:
        keep(peers.masks(pipeline.drawn(given.input, 16), given.rounds))
        keep(peers.jobs(files, given.rounds, actors=2))
    if "memory" in given.parts:
        keep(memory.measure(given.windows))
    print(table(made))


if __name__ == "__main__":
    main()
