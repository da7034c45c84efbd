"""Ground truth: from a table of labels, from the recordings' own metadata, or from folder names."""

from __future__ import annotations

import hashlib
import json
import posixpath
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.inputs.metadata import jsonable
from pipeline.inputs.suffixes import without_audio_suffix
from pipeline.inputs.table_rows import column_names, pick_column, read_rows
from pipeline.storage.errors import InputError
from pipeline.storage.filesystem import display_url

LABEL_COLUMNS = ("label", "category", "class", "target_name")
KEY_COLUMNS = ("key", "path", "uri", "file", "filename", "file_name", "audio", "recording", "name", "id")
_METADATA_LABELS = ("label", "category", "class")


@dataclass(frozen=True)
class LabelRow:
    """What a table says of one recording; `label` is None where it has no label column or the cell is empty."""

    label: str | None
    metadata: dict[str, Any]


class LabelTable:
    """Rows about recordings, found by a recording's path, its path without suffix, or its base name if unique."""

    def __init__(self, name: str, rows: Mapping[str, LabelRow]) -> None:
        self.name = name
        self.keys = tuple(rows)
        # From the surest way of naming a recording to the least; None marks a name that two rows share.
        self._indexes: list[dict[str, LabelRow | None]] = [{}, {}, {}, {}]
        for key, row in rows.items():
            for index, form in zip(self._indexes, _forms(key), strict=True):
                index[form] = None if index.get(form, row) is not row else row

    @property
    def digest(self) -> str:
        """SHA-256 of all rows: two tables of one digest say the same of every recording."""
        rows = {key: [row.label, row.metadata] for key, row in self._indexes[0].items() if row is not None}
        return hashlib.sha256(json.dumps(rows, sort_keys=True).encode()).hexdigest()

    def metadata_of(self, key: str) -> dict[str, Any]:
        """Return the columns that the table has about a recording; empty when it has no row for it."""
        row = self.lookup(key)
        return row.metadata if row is not None else {}

    def lookup(self, key: str) -> LabelRow | None:
        """Return the row about a recording; None when no row, or no single row, matches its key."""
        for index, form in zip(self._indexes, _forms(key), strict=True):
            if (row := index.get(form)) is not None:
                return row
        return None


def load_labels(url: str, column: str | None = None, key_column: str | None = None) -> LabelTable:
    """Load a CSV, TSV or JSON-lines table of labels.

    `column` holds the label (default: the first of label, category, class, target_name), `key_column` the
    recording's key or path (default: the first of key, path, uri, file, filename...). Raises InputError when there
    is no such column, a row has no key, or two rows give one recording different labels.
    """
    shown, rows = display_url(url), read_rows(url)
    columns = column_names(rows)
    keys = pick_column(columns, key_column, KEY_COLUMNS, shown, "recordings' keys")
    labels = pick_column(columns, column, LABEL_COLUMNS, shown, "labels")
    if keys is None:
        raise InputError(f"{shown}: which column names the recordings? It has {', '.join(columns)}")
    by_key: dict[str, LabelRow] = {}
    for line, cells in rows:
        key = str(cells.get(keys) or "").strip().removeprefix("./")
        if not key:
            raise InputError(f"{shown}, line {line}: the column {keys!r} is empty; every row needs a recording")
        row = LabelRow(
            label=_text(cells.get(labels)) if labels else None,
            metadata={name: jsonable(value) for name, value in cells.items() if name != keys},
        )
        if by_key.setdefault(key, row).label != row.label:
            both = f"{by_key[key].label!r} and {row.label!r}"
            raise InputError(f"{shown}, line {line}: {key!r} has two labels, {both}; keep one")
    return LabelTable(shown, by_key)


def label_of(
    metadata: Mapping[str, Any], key: str, label_column: str | None = None, table: LabelTable | None = None
) -> str | None:
    """Return a recording's label: from the table, else its metadata, else the name of its folder, else None.

    In the metadata it is `label_column`, or the first of label, category, class. With `label_column` given, the
    folder's name is not taken for a label.
    """
    row = table.lookup(key) if table else None
    if row is not None and row.label is not None:
        return row.label
    for name in (label_column,) if label_column else _METADATA_LABELS:
        if (label := _text(metadata.get(name))) is not None:
            return label
    return None if label_column else posixpath.basename(posixpath.dirname(key)) or None


def check_coverage(table: LabelTable, keys: Iterable[str]) -> int:
    """Return how many of the recordings have a row in the table; raises InputError when none has."""
    asked = list(keys)
    matched = sum(table.lookup(key) is not None for key in asked)
    if asked and not matched:
        raise InputError(
            f"{table.name}: none of its {len(table.keys)} rows is about any of the {len(asked)} recordings; "
            f"it names recordings like {_examples(table.keys)}, the input has {_examples(asked)}"
        )
    return matched


def _forms(key: str) -> tuple[str, str, str, str]:
    base = posixpath.basename(key)
    return key, without_audio_suffix(key), base, without_audio_suffix(base)


def _text(value: Any) -> str | None:
    text = "" if value is None or isinstance(value, (dict, list)) else str(value).strip()
    return text or None


def _examples(keys: Iterable[str]) -> str:
    return ", ".join(repr(key) for key in list(keys)[:3])
