"""Select recordings by their metadata: `fold=1,2` selects those whose `fold` is 1 or 2."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from schemas.errors import LmacError

# The values that each column may have.
Selection = Mapping[str, Sequence[str]]


class SelectionError(LmacError):
    """A selection is not understood, names a column that no recording has, or leaves no recording."""


def parse_selection(texts: Sequence[str]) -> dict[str, list[str]]:
    """Return `["fold=1,2", "take=A"]` as `{"fold": ["1", "2"], "take": ["A"]}`.

    Raises SelectionError for a text of another form.
    """
    selection: dict[str, list[str]] = {}
    for text in texts:
        column, sign, values = text.partition("=")
        if not sign or not column.strip() or not values.strip():
            raise SelectionError(f"{text!r} selects nothing: write COLUMN=VALUE or COLUMN=VALUE,VALUE")
        selection.setdefault(column.strip(), []).extend(value.strip() for value in values.split(","))
    return selection


def describe(selection: Selection) -> str:
    """Return a selection in words: `fold is one of 1, 2 and take is one of A`."""
    return " and ".join(f"{column} is one of {', '.join(values)}" for column, values in selection.items())


def is_selected(metadata: Mapping[str, Any], selection: Selection) -> bool:
    """Return whether a recording has, in every column of the selection, one of its values."""
    return all(str(metadata.get(column)) in values for column, values in selection.items())


def selected(rows: Sequence[Mapping[str, Any]], selection: Selection) -> list[int]:
    """Return the indices of the selected recordings, which are given by their metadata.

    Raises SelectionError when no recording has one of the columns, or no recording is selected.
    """
    chosen = [place for place, row in enumerate(rows) if is_selected(row, selection)]
    refuse_empty(selection, {name for row in rows for name in row}, len(chosen), len(rows))
    return chosen


def refuse_empty(selection: Selection, columns: Collection[str], n_selected: int, n_recordings: int) -> None:
    """Raise SelectionError when `columns` lacks a column of the selection, or no recording is selected."""
    for column in selection:
        if column not in columns:
            raise SelectionError(f"no recording has a column {column!r} to select by; there are: {sorted(columns)}")
    if not n_selected:
        raise SelectionError(f"no recording is left of {n_recordings} where {describe(selection)}")
