"""Scores of the soft masks, as each method writes them."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.evaluation.report.document import Block, Cell, Folded, Heading, Prose, Section, Table, measured
from pipeline.evaluation.report.glossary import score, spoken
from pipeline.evaluation.report.read import Results, Variant
from pipeline.evaluation.report.standing import counted

SIZE_FIRST = ("mask_mean", "energy_kept")
SPECTRAL = ("ai", "ai_001", "ad", "ag", "ff", "fid_in", "keep", "sps", "comp")
WRITTEN = ("ad_audio", "ff_audio", "fid_in_audio")
PUBLISHED = ("ad_double_softmax", "ad_double_softmax_audio")
WARNING = (
    "An all-ones mask tops FF, AD and Fid-In: it keeps everything and leaves nothing. No score here means anything "
    "without the size of the mask, which therefore stands first. Methods are ranked at equal size only."
)


def soft_masks(results: Results) -> Section | None:
    """All scores by audio, sizes first; None where no soft mask was measured."""
    blocks: list[Block] = []
    for audio in results.audio:
        if summary := results.summary.get(audio):
            best = counted(summary)
            scores = (*SIZE_FIRST, *SPECTRAL, *WRITTEN)
            blocks += [
                Heading(audio),
                _table(results, audio, best, scores, f"Soft masks on {audio}, mean (95% interval)"),
                Folded(
                    f"Average drop with two softmaxes on {audio}, only for comparison with published tables",
                    [
                        _table(
                            results,
                            audio,
                            best,
                            PUBLISHED,
                            f"AD with two softmaxes on {audio}, only for comparison with published tables: it shrinks "
                            "the drop",
                        )
                    ],
                ),
                Folded(
                    f"All masks of every method on {audio}",
                    [_table(results, audio, list(summary), scores, f"All masks of every method on {audio}")],
                ),
            ]
    return (
        Section("soft-masks", "Scores of the soft masks", [Prose(WARNING, warning=True), *blocks]) if blocks else None
    )


def _table(results: Results, audio: str, variants: list[Variant], names: Sequence[str], caption: str) -> Table:
    summary = results.summary[audio]
    measured_at_all = [name for name in names if any(name in summary[variant] for variant in variants)]
    rows = [
        [
            Cell(spoken(variant.method)),
            Cell(spoken(variant.how), "counts" if variant.best and len(variants) > len(counted(variants)) else ""),
            *(measured(summary[variant].get(name), score(name).digits) for name in measured_at_all),
        ]
        for variant in variants
    ]
    return Table(caption, ["method", "mask", *(score(name).heading for name in measured_at_all)], rows, headings=2)
