"""`lmac schema`: the columns of every table, with types, units and meanings."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.table import Table

from jobs.messages import console, fail
from schemas.tables import SCHEMA_VERSION, TABLES


def schema(
    table: Annotated[str | None, typer.Argument(metavar="TABLE", help="One table only.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON, for programs.")] = False,
) -> None:
    """Print the tables that a run writes."""
    if table is not None and table not in TABLES:
        raise fail(f"there is no table {table!r}, only: {', '.join(TABLES)}")
    names = [table] if table else list(TABLES)
    if as_json:
        typer.echo(json.dumps({name: _rows(name) for name in names}, indent=2))
        return
    for name in names:
        description = TABLES[name].metadata[b"description"].decode()
        shown = Table(title=f"{name}, version {SCHEMA_VERSION}: {description}", title_justify="left")
        for column in ("column", "type", "unit", "meaning"):
            shown.add_column(column, overflow="fold")
        for row in _rows(name):
            kind = row["type"] + (" or null" if row["nullable"] else "")
            shown.add_row(row["name"], kind, row["unit"], row["description"])
        console.print(shown)


def _rows(name: str) -> list[dict[str, str]]:
    return [
        {
            "name": field.name,
            "type": str(field.type),
            "nullable": field.nullable,
            "unit": field.metadata.get(b"unit", b"").decode(),
            "description": field.metadata[b"description"].decode(),
        }
        for field in TABLES[name]
    ]
