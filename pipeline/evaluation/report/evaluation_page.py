"""The report of an evaluation, as one self-contained HTML page and as GitHub Markdown."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined

from pipeline.evaluation.report import curve_plots, plots, size_tables, tables
from pipeline.evaluation.report.cells import number, percent
from pipeline.evaluation.report.glossary import score
from pipeline.evaluation.report.results import read_results
from pipeline.evaluation.report.verdict import verdict


def write_report(directory: Path) -> None:
    """Write `report.md`, `report.html` and `plots/*.png` from the tables and `evaluation.json` in `directory`.

    Raises FileNotFoundError if there is no evaluation, ValueError for a table that lacks a column.
    """
    results = read_results(directory)
    drawn: dict[str, bytes] = {}

    def plot(name: str, draw: Callable[..., bytes | None], *what: Any) -> str | None:
        """Draw a plot once and return its name, or None if there is nothing to draw."""
        if name not in drawn and (png := draw(*what)):
            drawn[name] = png
        return name if name in drawn else None

    for name in ("report.html", "report.md"):
        environment = Environment(
            loader=PackageLoader("pipeline.evaluation.report"),
            autoescape=name.endswith(".html"),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        environment.filters |= {
            "base64": lambda png: base64.b64encode(png).decode("ascii"),
            "fence": _fence,
            "md": _markdown,
            "yaml": lambda values: yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=100),
        }
        environment.globals |= {
            "about": _about(results.facts),
            "curve_plots": curve_plots,
            "drawn": drawn,
            "palette": plots.Palette(results),
            "plot": plot,
            "plots": plots,
            "results": results,
            "score": score,
            "size_tables": size_tables,
            "tables": tables,
            "verdict": verdict,
        }
        page = environment.get_template(name).render()
        (directory / name).write_text(page.strip() + "\n", encoding="utf-8")
    folder = directory / "plots"
    folder.mkdir(exist_ok=True)
    # An earlier report may have had more audio.
    for stale in folder.glob("*.png"):
        stale.unlink()
    for name, png in drawn.items():
        (folder / f"{name}.png").write_bytes(png)


def _about(facts: dict[str, Any]) -> str:
    counts = [
        f"{facts[name]} {name if facts[name] != 1 else name[:-1]}"
        for name in ("recordings", "windows")
        if facts[name] is not None
    ]
    parts = [
        f"Evaluated on {facts['input']}" if facts["input"] else "",
        " in ".join(counts),
        f"accuracy {percent(facts['accuracy'])}" if facts["accuracy"] is not None else "",
        f"mean p {number(facts['p'], 2)}" if facts["p"] is not None else "",
        facts["date"] or "",
    ]
    return "; ".join(part for part in parts if part)


def _markdown(text: str) -> str:
    """Escape text for Markdown, on one line; underscores within words have no effect and are left."""
    entities = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"(?<!\w)_|_(?!\w)|[\\`*|\[\]~$#]", lambda found: "\\" + found[0], entities)


def _fence(text: str) -> str:
    """Return a fence for a block of code, longer than any run of backticks in it."""
    return "`" * max(3, 1 + max((len(run) for run in re.findall("`+", text)), default=0))
