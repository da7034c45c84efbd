"""The report of an evaluation, from its results."""

from __future__ import annotations

from pipeline.evaluation.report.document import Document, Prose
from pipeline.evaluation.report.glossary import spoken
from pipeline.evaluation.report.numerals import number, percent
from pipeline.evaluation.report.plots.canvas import Palette
from pipeline.evaluation.report.read import Facts, Results
from pipeline.evaluation.report.sections.checks import sanity, speed
from pipeline.evaluation.report.sections.making import making
from pipeline.evaluation.report.sections.paired import paired
from pipeline.evaluation.report.sections.sizes import sizes
from pipeline.evaluation.report.sections.soft_masks import soft_masks
from pipeline.evaluation.report.sections.truth import truth
from pipeline.evaluation.report.verdict import judge, sentences


def compose(results: Results) -> Document:
    """The whole report; a section without measurements is left out."""
    palette = Palette.of(results)
    sections = (
        sizes(results, palette),
        soft_masks(results),
        paired(results),
        truth(results),
        sanity(results, palette),
        speed(results),
        making(results.facts),
    )
    verdicts = [
        judge(results, audio) for audio in results.audio if results.points.get(audio) or results.areas.get(audio)
    ]
    return Document(
        title=f"How faithful is {results.facts.explainer}?",
        about=_about(results.facts),
        verdict=[Prose(f"{verdict.audio}: {sentences(verdict)}") for verdict in verdicts] + _left_out(results.facts),
        sections=[section for section in sections if section],
    )


def _left_out(facts: Facts) -> list[Prose]:
    names: dict[str, list[str]] = {}
    for name, reason in facts.methods_left_out.items():
        names.setdefault(reason, []).append(spoken(name))
    return [Prose(f"Not among the baselines: {', '.join(them)} ({reason}).") for reason, them in names.items()]


def _about(facts: Facts) -> str:
    counts = [
        f"{count} {name if count != 1 else name[:-1]}"
        for count, name in ((facts.recordings, "recordings"), (facts.windows, "windows"))
        if count is not None
    ]
    parts = [
        f"Evaluated on {facts.input}" if facts.input else "",
        " in ".join(counts),
        f"accuracy {percent(facts.accuracy)}" if facts.accuracy is not None else "",
        f"mean p {number(facts.p, 2)}" if facts.p is not None else "",
        facts.date or "",
    ]
    return "; ".join(part for part in parts if part)
