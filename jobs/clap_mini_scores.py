"""The zero-shot figures of a clap-mini, for people."""

from __future__ import annotations

from rich.table import Table

from jobs.messages import console
from pipeline.clap_mini.evaluate import ZeroShotScores


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
