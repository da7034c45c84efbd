"""Summarise a run: how many windows, what the classifier decided, how far its explanations can be trusted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from schemas.records import Manifest, TargetSums

COLUMNS = ["target", "windows", "p", "AD %", "FF", "Fid-In", "mask mean", "energy kept"]


@dataclass(frozen=True)
class TargetSummary:
    """Means over the explanations of one target, which `windows` have; `p` is that of the target, `ad` in percent."""

    target: str
    windows: int
    p: float
    ad: float
    ff: float
    fid_in: float
    mask_mean: float
    energy_kept: float


@dataclass(frozen=True)
class RunSummary:
    """All explanations together (`total`), each target, and the recordings that could not be used, by reason.

    `labelled` windows came with a label that is a class of the explainer; `accuracy` is the share of them classified as
    labelled, None if there are none.
    """

    total: TargetSummary | None
    targets: list[TargetSummary]
    errors: dict[str, int]
    accuracy: float | None
    labelled: int = 0

    def rows(self) -> list[list[str]]:
        """Return the summary as a table: the column names, then a row for each target and one for all."""
        shown = [COLUMNS]
        for one in [*self.targets, *([self.total] if self.total else [])]:
            numbers = (f"{one.p:.2f}", f"{one.ad:.1f}", f"{one.ff:.2f}", f"{one.fid_in:.2f}")
            shown.append([one.target, str(one.windows), *numbers, f"{one.mask_mean:.2f}", f"{one.energy_kept:.2f}"])
        return shown

    def __str__(self) -> str:
        widths = [max(map(len, column)) for column in zip(*self.rows(), strict=True)]
        lines = (
            [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
            for row in self.rows()
        )
        return "\n".join("  ".join(line) for line in lines)

    def _repr_html_(self) -> str:
        head, *body = ("".join(f"<td>{escape(cell)}</td>" for cell in row) for row in self.rows())
        return f"<table><thead><tr>{head}</tr></thead>{''.join(f'<tr>{row}</tr>' for row in body)}</table>"


def summarise(manifest: Manifest) -> RunSummary:
    """Summarise a run from the sums of its manifest, the most frequent targets and reasons first.

    If windows have several targets, the row for all counts windows, and has means over explanations.
    """
    sums = manifest.sums
    found = sorted(sums.targets.items(), key=lambda item: (-item[1].windows, item[0]))
    return RunSummary(
        total=_means("all", list(sums.targets.values()), manifest.windows) if found else None,
        targets=[_means(target, [one], one.windows) for target, one in found],
        errors=dict(sorted(sums.reasons.items(), key=lambda item: (-item[1], item[0]))),
        accuracy=sums.hits / sums.labelled if sums.labelled else None,
        labelled=sums.labelled,
    )


def _means(target: str, sums: Sequence[TargetSums], windows: int) -> TargetSummary:
    explanations = sum(one.windows for one in sums)
    names = [name for name in TargetSums.model_fields if name != "windows"]
    return TargetSummary(
        target, windows, **{name: sum(getattr(one, name) for one in sums) / explanations for name in names}
    )
