"""The report as GitHub Markdown."""

from __future__ import annotations

import html
import re

from pipeline.evaluation.report.document import Block, Cell, Code, Document, Folded, Heading, Picture, Prose, Table


def render(document: Document) -> str:
    """The whole report, its plots linked as `plots/NAME.png`."""
    parts = [f"# {escape(document.title)}", escape(document.about), *(_block(prose) for prose in document.verdict)]
    for section in document.sections:
        parts += [f"## {escape(section.title)}", *(_block(block) for block in section.blocks)]
    return "\n\n".join(part for part in parts if part) + "\n"


def escape(text: str) -> str:
    """Text that Markdown shows to the letter, on one line; an underscore within a word is left, as it means nothing."""
    entities = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"(?<!\w)_|_(?!\w)|[\\`*|\[\]~$#]", lambda found: "\\" + found[0], entities)


def _block(block: Block) -> str:
    if isinstance(block, Table):
        return _table(block)
    if isinstance(block, Picture):
        return f"![{escape(block.alt)}](plots/{block.name}.png)\n\n{escape(block.caption)}"
    if isinstance(block, Prose):
        return f"> **{escape(block.text)}**" if block.warning else escape(block.text)
    if isinstance(block, Heading):
        return f"### {escape(block.text)}"
    if isinstance(block, Code):
        return _code(block.text)
    if isinstance(block, Folded):
        inside = "\n\n".join(_block(inner) for inner in block.blocks)
        return f"<details>\n<summary>{html.escape(block.title)}</summary>\n\n{inside}\n\n</details>"
    raise TypeError(f"no such block: {block!r}")


def _table(table: Table) -> str:
    sides = ["---"] * table.headings + ["--:" if _numeric(table) else "---"] * (len(table.columns) - table.headings)
    lines = [_line([escape(column) for column in table.columns]), _line(sides)]
    lines += [_line([_cell(cell) for cell in row]) for row in table.rows]
    parts = [f"**{escape(table.caption)}**", "\n".join(lines), escape(table.note)]
    return "\n\n".join(part for part in parts if part)


def _numeric(table: Table) -> bool:
    return all(len(cell.text) < 12 for row in table.rows for cell in row[table.headings :])


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(cell: Cell) -> str:
    text = escape(cell.text)
    text = f"**{text}**" if cell.strong else text
    return f"{text} ({escape(cell.detail)})" if cell.detail else text


def _code(text: str) -> str:
    # A fence must be longer than any run of backticks within.
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", text)), default=0))
    return f"{fence}\n{text}\n{fence}"
