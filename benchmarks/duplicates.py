"""Planted copies of real recordings found again, beside embeddings alone; and a million embeddings searched:

python -m benchmarks.duplicates data/esc10
python -m benchmarks.duplicates --scale 1000000
"""

from __future__ import annotations

import argparse
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("esc10", type=Path, nargs="?", help="the folder of ESC-10")
    parser.add_argument("--explainers", nargs="+", default=["esc10", "clap-mini"], help="whose embeddings are taken")
    parser.add_argument("--scale", type=int, nargs="+", default=[], help="search so many synthetic embeddings instead")
    arguments = parser.parse_args()
    # Each with its own imports: what is measured at scale is without those of torch.
    if arguments.scale:
        from benchmarks.duplicates_at_scale import measure

        measure(arguments.scale)
    elif arguments.esc10:
        from benchmarks.duplicates_planted import compare

        for name in arguments.explainers:
            compare(arguments.esc10, name)
    else:
        parser.error("give the folder of ESC-10, or --scale")


if __name__ == "__main__":
    main()
