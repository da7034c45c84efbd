"""Scores of a saved clap-mini on sounds and wordings that it was not trained on, and of the masks for its prompts:

python -m benchmarks.clap_mini runs/clap-mini --explainer runs/clap-mini-zs
"""

from __future__ import annotations

import argparse

from rich.table import Table

from benchmarks.prompt_masks import MaskScores, evaluate_masks
from jobs.clap_mini_scores import print_zero_shot
from jobs.messages import console
from pipeline.datasets.clap_mini.measure import evaluate_zero_shot, load_saved
from pipeline.models.checkpoint import load_explainer
from pipeline.models.clap.clap_classifier import ClapClassifier


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


def print_masks(scores: MaskScores) -> None:
    """Print a row for each score."""
    table = Table("masks for prompts", "value", "95% interval", "over", box=None)
    mixtures = f"{scores.mixtures} mixtures of two events"
    for name, value, over in (
        ("AUROC against the ideal ratio mask of the event named", scores.auroc, mixtures),
        ("AUROC of the magnitude itself", scores.auroc_energy, mixtures),
        ("AUROC of the mask less that of the magnitude, paired", scores.auroc_gain, mixtures),
        ("AUROC of the mask for the other event", scores.auroc_other, mixtures),
        ("IoU of the two masks, cut at 0.5", scores.iou, f"{scores.iou_pairs} mixtures where either keeps a bin"),
        ("mean of the mask, event present", scores.present, mixtures),
        ("mean of the mask, event absent", scores.absent, mixtures),
        ("a third of present less absent, paired", scores.margin, mixtures),
        ("SI-SDR gained, dB", scores.si_sdr_gain, mixtures),
    ):
        table.add_row(name, f"{value.value:.3f}", f"{value.low:.3f} to {value.high:.3f}", over)
    for name, number in (
        ("absent over present", scores.absent.value / max(scores.present.value, 1e-9)),
        ("rank correlation of mean and similarity", scores.follows),
        ("SI-SDR gained where the event is the quieter part, dB", scores.si_sdr_gain_below_0),
    ):
        table.add_row(name, f"{number:.3f}", "", mixtures)
    console.print(table)


if __name__ == "__main__":
    main()
