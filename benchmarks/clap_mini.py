"""What a saved clap-mini knows of sounds and wordings that its training has not used:

python -m benchmarks.clap_mini runs/clap-mini
"""

from __future__ import annotations

import argparse

from jobs.clap_mini_scores import print_zero_shot
from pipeline.clap_mini.evaluate import evaluate_zero_shot, load_saved


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="the directory of a clap-mini")
    parser.add_argument("--scenes", type=int, default=300)
    parser.add_argument("--mixtures", type=int, default=200)
    arguments = parser.parse_args()
    print_zero_shot(evaluate_zero_shot(load_saved(arguments.model), arguments.scenes, arguments.mixtures))


if __name__ == "__main__":
    main()
