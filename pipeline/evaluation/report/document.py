"""What a report is made of, before it is Markdown or HTML."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from pipeline.evaluation.report.numerals import number, signed, span
from pipeline.evaluation.report.read import Interval


@dataclass(frozen=True)
class Cell:
    """What stands in a table: a figure or a name, and in small what is to be said about it."""

    text: str
    detail: str = ""
    strong: bool = False


@dataclass(frozen=True)
class Table:
    """Rows of cells under `columns`, the first `headings` of which name the row; rows of one first cell are a group."""

    kind: ClassVar[str] = "table"
    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    headings: int = 1
    note: str = ""

    def groups(self) -> list[list[Sequence[Cell]]]:
        """Runs of rows that begin with the same cell."""
        runs: list[list[Sequence[Cell]]] = []
        for row in self.rows:
            if runs and runs[-1][0][0] == row[0]:
                runs[-1].append(row)
            else:
                runs.append([row])
        return runs


@dataclass(frozen=True)
class Picture:
    """A plot: the name of its file without suffix, its PNG, and what it shows for those who do not see it."""

    kind: ClassVar[str] = "picture"
    name: str
    png: bytes
    alt: str
    caption: str


@dataclass(frozen=True)
class Prose:
    """A paragraph of plain text."""

    kind: ClassVar[str] = "prose"
    text: str
    warning: bool = False


@dataclass(frozen=True)
class Heading:
    """A title within a section."""

    kind: ClassVar[str] = "heading"
    text: str


@dataclass(frozen=True)
class Code:
    """Text to be shown to the letter."""

    kind: ClassVar[str] = "code"
    text: str


@dataclass(frozen=True)
class Folded:
    """Blocks that are shown on demand."""

    kind: ClassVar[str] = "folded"
    title: str
    blocks: Sequence[Block]


Block = Table | Picture | Prose | Heading | Code | Folded


@dataclass(frozen=True)
class Section:
    """A titled run of blocks; `anchor` names it in links."""

    anchor: str
    title: str
    blocks: Sequence[Block]


@dataclass(frozen=True)
class Document:
    """The report: its title, what was evaluated, the verdict, and the sections."""

    title: str
    about: str
    verdict: Sequence[Prose]
    sections: Sequence[Section]

    def pictures(self) -> list[Picture]:
        """All pictures, in order."""
        return [block for section in self.sections for block in _flat(section.blocks) if isinstance(block, Picture)]


def measured(interval: Interval | None, digits: int, strong: bool = False, mark: str = "") -> Cell:
    """A mean and its interval as a cell, `mark` behind the mean."""
    if interval is None:
        return Cell(number(None))
    return Cell(number(interval.value, digits) + mark, span(interval.low, interval.high, digits), strong)


def difference(interval: Interval, digits: int) -> Cell:
    """A difference and its interval as a cell."""
    return Cell(signed(interval.value, digits), span(interval.low, interval.high, digits))


def _flat(blocks: Sequence[Block]) -> list[Block]:
    flat: list[Block] = []
    for block in blocks:
        flat += _flat(block.blocks) if isinstance(block, Folded) else [block]
    return flat
