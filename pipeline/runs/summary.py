"""A run in a few lines: how many, what the classifier heard, how far its explanations can be trusted."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.runs.tables import connect
from pipeline.runs.output import RunOutput
from schemas.records import TableName


@dataclass(frozen=True)
class LabelSummary:
    """Means over the explanations of one label; `windows` that have one, `p` of the label; `ad` in percent."""

    label: str
    windows: int
    p: float
    ad: float
    ff: float
    fid_in: float
    mask_mean: float
    energy_kept: float


@dataclass(frozen=True)
class RunSummary:
    """All explanations together (`total`), each label explained, and by reason the recordings that could not be used.

    Of the `labelled` windows, which came with a label that is a class of the explainer, `accuracy` is the share
    whose label is that one; None where there are none.
    """

    total: LabelSummary | None
    labels: list[LabelSummary]
    errors: dict[str, int]
    accuracy: float | None
    labelled: int = 0


_MEANS = """
    count(DISTINCT window_id), avg(p), avg(ad), avg(ff), avg(fid_in), avg(mask_mean), avg(energy_kept)
    FROM faithfulness
"""
_COLUMNS: dict[TableName, list[str]] = {
    "predictions": ["label", "label_true"],
    "faithfulness": ["window_id", "label", "p", "ad", "ff", "fid_in", "mask_mean", "energy_kept"],
    "errors": ["reason"],
}


def summarise(output_url: str) -> RunSummary:
    """Summarise a finished run by its tables; raises StorageError when it has no manifest."""
    record = RunOutput(output_url).read_run_record()
    classes = record.explainer.get("labels", []) if record else []
    with connect(output_url, _COLUMNS) as db:
        labels = db.execute(f"SELECT label, {_MEANS} GROUP BY 1 ORDER BY 2 DESC, 1").fetchall()
        total = db.execute(f"SELECT 'all', {_MEANS}").fetchone()
        errors = db.execute("SELECT reason, count(*) FROM errors GROUP BY 1 ORDER BY 2 DESC, 1").fetchall()
        known = db.execute(
            "SELECT avg((label = label_true)::int), count(*) FROM predictions WHERE label_true IN (SELECT unnest(?))",
            [classes],
        ).fetchone()
    return RunSummary(
        total=LabelSummary(*total) if total and total[1] else None,
        labels=[LabelSummary(*row) for row in labels],
        errors=dict(errors),
        accuracy=known[0] if known else None,
        labelled=known[1] if known else 0,
    )
