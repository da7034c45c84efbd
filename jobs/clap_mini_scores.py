"""Print a table of the scores of a clap-mini."""

from __future__ import annotations

from rich.table import Table

from jobs.messages import console
from pipeline.datasets.clap_mini.measure import ZeroShotScores


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
