"""Print tables of the scores of a clap-mini, and of masks for its prompts."""

from __future__ import annotations

from rich.table import Table

from jobs.messages import console
from pipeline.datasets.clap_mini.measure import ZeroShotScores
from pipeline.datasets.clap_mini.measure_masks import MaskScores


def print_zero_shot(scores: ZeroShotScores) -> None:
    """Print a row for each score."""
    single, both = f"{scores.scenes} unseen scenes of one event", f"{scores.mixtures} mixtures of two events"
    table = Table("score", "value", "over", box=None)
    for name, value, over in (
        ("accuracy, held-out wordings, averaged", scores.averaged, single),
        ("accuracy, held-out wordings, one prompt a class, mean", scores.single_mean, single),
        ("accuracy, held-out wordings, one prompt a class, worst", scores.single_worst, single),
        ("accuracy, trained wordings, averaged", scores.trained, single),
        ("present events above absent ones (AUROC)", scores.present_auroc, both),
        ("captions that hold for the nearest mixture", scores.recall_1, both),
        ("captions that hold for one of the nearest five", scores.recall_5, both),
        ("captions that hold for a mixture by chance", scores.recall_1_by_chance, both),
        ("cosine of a scene to its class, mean", scores.present_similarity, single),
        ("cosine of silence to any class, highest", scores.silent_similarity, "digital silence"),
    ):
        table.add_row(name, f"{value:.3f}", over)
    console.print(table)


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
