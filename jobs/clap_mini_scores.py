"""The figures of a clap-mini and of masks for its prompts, for people."""

from __future__ import annotations

from rich.table import Table

from jobs.messages import console
from pipeline.datasets.clap_mini.measure import ZeroShotScores
from pipeline.datasets.clap_mini.measure_masks import MaskScores


def print_zero_shot(scores: ZeroShotScores) -> None:
    """Print one line for each figure."""
    single, both = f"{scores.scenes} unseen scenes of one event", f"{scores.mixtures} mixtures of two events"
    table = Table("figure", "value", "of", box=None)
    for name, value, of in (
        ("accuracy, held-out wordings, averaged", scores.averaged, single),
        ("accuracy, held-out wordings, one prompt a class, mean", scores.single_mean, single),
        ("accuracy, held-out wordings, one prompt a class, worst", scores.single_worst, single),
        ("accuracy, trained wordings, averaged", scores.trained, single),
        ("present events above absent ones (AUROC)", scores.present_auroc, both),
        ("captions that hold of the nearest mixture", scores.recall_1, both),
        ("captions that hold of one of the nearest five", scores.recall_5, both),
        ("captions that hold of any one mixture, by chance", scores.recall_1_by_chance, both),
        ("cosine of a scene to its class, mean", scores.present_similarity, single),
        ("cosine of silence to any class, highest", scores.silent_similarity, "digital silence"),
    ):
        table.add_row(name, f"{value:.3f}", of)
    console.print(table)


def print_masks(scores: MaskScores) -> None:
    """Print one line for each figure."""
    table = Table("masks for prompts", "value", "95% interval", "of", box=None)
    of = f"{scores.mixtures} mixtures of two events"
    for name, value, what in (
        ("AUROC against the ideal ratio mask of the event named", scores.auroc, of),
        ("AUROC of the magnitude itself", scores.auroc_energy, of),
        ("the first less the second, paired", scores.auroc_gain, of),
        ("AUROC of the mask for the other event", scores.auroc_other, of),
        ("IoU of the two masks, cut at 0.5", scores.iou, f"{scores.iou_pairs} mixtures where either keeps a bin"),
        ("mean of the mask, event present", scores.present, of),
        ("mean of the mask, event absent", scores.absent, of),
        ("a third of the former less the latter, paired", scores.margin, of),
        ("SI-SDR gained, dB", scores.si_sdr_gain, of),
    ):
        table.add_row(name, f"{value.value:.3f}", f"{value.low:.3f} to {value.high:.3f}", what)
    for name, number in (
        ("absent over present", scores.absent.value / max(scores.present.value, 1e-9)),
        ("rank correlation of mean and similarity", scores.follows),
        ("SI-SDR gained where the event is the quieter part, dB", scores.si_sdr_gain_below_0),
    ):
        table.add_row(name, f"{number:.3f}", "", of)
    console.print(table)
