"""Scores of a saved clap-mini on sounds and wordings that it was not trained on, and of the masks for its prompts:

python -m benchmarks.clap_mini runs/clap-mini --explainer runs/clap-mini-zs
"""

from __future__ import annotations

import argparse

from jobs.clap_mini_scores import print_masks, print_zero_shot
from pipeline.datasets.clap_mini.measure import evaluate_zero_shot, load_saved
from pipeline.datasets.clap_mini.measure_masks import evaluate_masks
from pipeline.models.checkpoint import load_explainer
from pipeline.models.clap.classifier import ClapClassifier


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="the directory of a clap-mini")
    parser.add_argument("--explainer", help="an explainer with a decoder for prompts")
    parser.add_argument("--scenes", type=int, default=300)
    parser.add_argument("--mixtures", type=int, default=200)
    arguments = parser.parse_args()
    saved = load_saved(arguments.model)
    print_zero_shot(evaluate_zero_shot(saved, arguments.scenes, arguments.mixtures))
    if arguments.explainer:
        loaded = load_explainer(arguments.explainer)
        assert isinstance(loaded.classifier, ClapClassifier)
        assert loaded.decoder is not None
        print_masks(evaluate_masks(loaded.classifier, loaded.decoder, saved.text, arguments.mixtures))


if __name__ == "__main__":
    main()
