"""The report of an evaluation, as one page of HTML that needs nothing else and as GitHub Markdown."""

from __future__ import annotations

import base64
import re
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined

from pipeline.evaluation.methods import OWN
from pipeline.evaluation.names import printed
from pipeline.evaluation.report import size_tables, tables
from pipeline.evaluation.report.cells import number, percent
from pipeline.evaluation.report.curve_plots import curves, front
from pipeline.evaluation.report.glossary import score
from pipeline.evaluation.report.plots import Palette, bars, forest, randomisation
from pipeline.evaluation.report.results import Results, Row, counted, read_results
from pipeline.evaluation.report.verdict import SIZES, verdict

SCORES = (
    "mask_mean", "energy_kept", "ai", "ai_001", "ad", "ag", "ff", "fid_in", "keep", "sps", "comp",
    "ad_audio", "ff_audio", "fid_in_audio",
)  # fmt: skip
PUBLISHED = ("ad_double_softmax", "ad_double_softmax_audio")
SANITY_TITLES = {
    "randomisation": "Does the mask depend on what the classifier has learnt?",
    "stability": "Is the mask stable?",
    "masked_out": "Is what the mask removes still recognised?",
}


def write_report(directory: Path) -> None:
    """Write `report.md`, `report.html` and `plots/*.png` from the tables and `evaluation.json` in `directory`.

    Raises FileNotFoundError when there is no evaluation, ValueError for a table that lacks a column.
    """
    plots: dict[str, bytes] = {}
    shown = _shown(read_results(directory), plots)
    folder = directory / "plots"
    folder.mkdir(exist_ok=True)
    # An earlier report may have had more audio.
    for stale in folder.glob("*.png"):
        stale.unlink()
    for name, png in plots.items():
        (folder / f"{name}.png").write_bytes(png)
    for name in ("report.md", "report.html"):
        environment = Environment(
            loader=PackageLoader("pipeline.evaluation.report"),
            autoescape=name.endswith(".html"),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        environment.filters |= {"md": _markdown, "fence": _fence, "base64": lambda png: base64.b64encode(png).decode()}
        page = environment.get_template(name).render(**shown, plots=plots)
        (directory / name).write_text(page.strip() + "\n", encoding="utf-8")


def _shown(results: Results, plots: dict[str, bytes]) -> dict[str, Any]:
    """What the templates show; plots are put into `plots` by name. A section without measurements is empty."""
    palette, facts = Palette(results), results.facts
    audio = list(enumerate(results.audio, start=1))
    sizes = [
        _sizes(results, name, place, palette, plots)
        for place, name in audio
        if results.points.get(name) or results.areas.get(name)
    ]
    left_out: dict[str, list[str]] = {}
    for name, reason in (facts["methods_left_out"] or {}).items():
        left_out.setdefault(reason, []).append(printed(name))
    truth, truth_all_masks = tables.truth_tables(results)
    settings = facts["config"]
    return {
        "own": OWN,
        "title": f"How faithful is {facts['explainer'] or 'an explainer'}?",
        "about": _about(facts),
        "verdicts": [
            *(f"{one['audio']}: {verdict(results, one['audio'])}" for one in sizes),
            *(f"Not among the baselines: {', '.join(names)} ({reason})." for reason, names in left_out.items()),
        ],
        "sizes": sizes,
        "soft_masks": [_soft_masks(results, name) for _, name in audio if results.summary.get(name)],
        "differences": [
            _differences(rows, name, place, plots)
            for place, name in audio
            if (rows := [row for row in results.differences if row["audio"] == name])
        ],
        "truth": truth,
        "truth_all_masks": truth_all_masks,
        "sanity": [
            _sanity(test, checks, palette, plots)
            for test in dict.fromkeys([*SANITY_TITLES, *(check["test"] for check in results.sanity)])
            if (checks := [check for check in results.sanity if check["test"] == test])
        ],
        "speed": tables.speed_table(results) if results.timing else None,
        "facts": tables.facts_table(results),
        "command": facts["command"],
        "settings": yaml.safe_dump(settings, sort_keys=False, allow_unicode=True, width=100) if settings else "",
        "glossary": tables.glossary_table(),
    }


def _sizes(results: Results, audio: str, place: int, palette: Palette, plots: dict[str, bytes]) -> dict[str, Any]:
    measured, areas = bool(results.points.get(audio)), bool(results.areas.get(audio))
    names = {"curves": f"curves-{place}", "front": f"front-{place}"}
    if measured:
        plots |= {names["curves"]: curves(results, audio, palette), names["front"]: front(results, audio, palette)}
    return {
        "audio": audio,
        "plots": names if measured else None,
        "best_baselines": size_tables.best_baselines_table(results, audio),
        "areas": size_tables.areas_table(results, audio) if areas else None,
        "sizes": size_tables.sizes_table(results, audio) if measured else None,
        "all": size_tables.all_sizes_table(results, audio) if measured else None,
    }


def _soft_masks(results: Results, audio: str) -> dict[str, Any]:
    every = list(results.summary[audio])
    best = counted(every)
    published = f"AD with two softmaxes on {audio}, only for comparison with published tables: it shrinks the drop"
    return {
        "audio": audio,
        "best": tables.soft_masks_table(results, audio, best, SCORES, f"Soft masks on {audio}, mean (95% interval)"),
        "published": tables.soft_masks_table(results, audio, best, PUBLISHED, published),
        "all": tables.soft_masks_table(results, audio, every, SCORES, f"All masks of every method on {audio}"),
    }


def _differences(rows: list[Row], audio: str, place: int, plots: dict[str, bytes]) -> dict[str, Any]:
    plot = f"differences-{place}"
    if png := forest([row for row in rows if row["method"] == OWN], audio):
        plots[plot] = png
    at_sizes = []
    for name in ("ad", "ff"):
        sized = {f"{name} at {100 * budget:g}% of {by}" for by, budget in SIZES}
        if found := [row for row in rows if row["score"] in sized]:
            what = f"{score(name).name} at equal size on {audio}"
            at_sizes.append((what, tables.differences_table(found, what)))
    rest = [row for row in rows if " at " not in row["score"]]
    return {
        "audio": audio,
        "plot": plot if png else None,
        "at_sizes": at_sizes,
        "all": tables.differences_table(rest, audio),
    }


def _sanity(test: str, checks: list[Row], palette: Palette, plots: dict[str, bytes]) -> dict[str, Any]:
    title = SANITY_TITLES.get(test, printed(test))
    plot = f"sanity-{''.join(letter if letter.isalnum() else '-' for letter in test)}"
    plots[plot] = randomisation(checks, palette) if test == "randomisation" else bars(checks, palette, title)
    return {"test": test, "title": title, "plot": plot, "table": tables.sanity_table(title, checks)}


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
    """Text that Markdown shows to the letter, on one line; an underscore within a word is left, as it means nothing."""
    entities = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"(?<!\w)_|_(?!\w)|[\\`*|\[\]~$#]", lambda found: "\\" + found[0], entities)


def _fence(text: str) -> str:
    """A fence for a block of code, longer than any run of backticks within."""
    return "`" * max(3, 1 + max((len(run) for run in re.findall("`+", text)), default=0))
