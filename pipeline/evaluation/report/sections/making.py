"""How the evaluation was made, and what its words mean."""

from __future__ import annotations

import yaml

from pipeline.evaluation.report.document import Block, Cell, Code, Folded, Section, Table
from pipeline.evaluation.report.glossary import AREAS, SCORES, Score
from pipeline.evaluation.report.read import Facts

NOTE = (
    "Intervals are 95% percentile intervals of a bootstrap over recordings. A score `written` is that of the listenable"
    " waveform, classified again: a masked spectrogram is not the spectrogram of any signal, and nobody hears it. Of a"
    " baseline's masks and orders the one that serves it best counts."
)


def making(facts: Facts) -> Section:
    """Seed, versions, digests, command and configuration, and the glossary."""
    known = {
        "explainer": facts.explainer,
        "digest of the explainer": facts.explainer_digest,
        "digest of the classifier": facts.classifier_digest,
        "input": facts.input,
        "seed": facts.seed,
        "date": facts.date,
        **{f"version of {name}": version for name, version in facts.versions.items()},
    }
    rows = [[Cell(name), Cell(str(value))] for name, value in known.items() if value is not None]
    blocks: list[Block] = [Table("What was evaluated, with what", ["", "value"], rows)]
    if facts.command:
        blocks.append(Code(facts.command))
    if facts.config:
        text = yaml.safe_dump(facts.config, sort_keys=False, allow_unicode=True, width=100)
        blocks.append(Folded("Configuration", [Code(text.rstrip())]))
    words = [_word(score) for score in (*SCORES.values(), *AREAS.values())]
    blocks.append(Table("Glossary", ["score", "better", "meaning"], words, note=NOTE))
    return Section("making", "How it was made", blocks)


def _word(score: Score) -> list[Cell]:
    return [Cell(score.name), Cell(score.better or "neither"), Cell(score.meaning)]
