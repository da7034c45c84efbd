"""Writes the report of an evaluation."""

from __future__ import annotations

from pathlib import Path

from pipeline.evaluation.report import html, markdown
from pipeline.evaluation.report.compose import compose
from pipeline.evaluation.report.read import read_results


def write_report(directory: Path) -> None:
    """Write `report.md`, `report.html` and `plots/*.png` from the tables and `evaluation.json` in `directory`.

    Raises FileNotFoundError when there is no evaluation, ValueError for a table that lacks a column.
    """
    document = compose(read_results(directory))
    plots = directory / "plots"
    plots.mkdir(exist_ok=True)
    # Of an earlier report with more audio.
    for stale in plots.glob("*.png"):
        stale.unlink()
    for picture in document.pictures():
        (plots / f"{picture.name}.png").write_bytes(picture.png)
    (directory / "report.md").write_text(markdown.render(document), encoding="utf-8")
    (directory / "report.html").write_text(html.render(document), encoding="utf-8")
