"""Tables that people write: CSV, TSV and JSON lines, on any URL."""

from __future__ import annotations

import csv
import io
import json
import posixpath
from typing import Any, NamedTuple

from pipeline.storage.errors import InputError, storage_errors
from pipeline.storage.filesystem import display_url, open_filesystem
from pipeline.storage.retry import retrying

ROW_SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson")


class Row(NamedTuple):
    """One row: the line it ends on, for messages, and its columns by name."""

    line: int
    columns: dict[str, Any]


def read_rows(url: str) -> list[Row]:
    """Read a CSV, TSV or JSON-lines file.

    Raises InputError when it is missing, of another kind, not UTF-8, or has a malformed line, which is named.
    """
    shown = display_url(url)
    suffix = posixpath.splitext(url)[1].lower()
    if suffix not in ROW_SUFFIXES:
        raise InputError(f"{shown}: expected a table, one of {', '.join(ROW_SUFFIXES)}")
    fs, path = open_filesystem(url)
    with storage_errors(f"reading {shown}"):
        try:
            data = retrying(lambda: fs.cat_file(path), what=f"reading {shown}")
        except FileNotFoundError as error:
            raise InputError(f"{shown}: it does not exist") from error
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{shown}: it is not UTF-8 text ({error}); save it as UTF-8") from error
    rows = _json_rows(text, shown) if suffix in (".jsonl", ".ndjson") else _csv_rows(text, suffix, shown)
    if not rows:
        raise InputError(f"{shown}: it has no rows")
    return rows


def column_names(rows: list[Row]) -> list[str]:
    """Return the columns of all rows, in order of first appearance; rows of JSON lines may differ in theirs."""
    return list(dict.fromkeys(name for row in rows for name in row.columns))


def pick_column(columns: list[str], asked: str | None, known: tuple[str, ...], shown: str, purpose: str) -> str | None:
    """Return the column asked for, or the first known name that is there; None when there is none.

    Raises InputError when the column asked for is not in the table.
    """
    if asked is not None and asked not in columns:
        raise InputError(f"{shown}: it has no column {asked!r} for the {purpose}; it has {', '.join(columns)}")
    return asked or next((name for name in known if name in columns), None)


def _csv_rows(text: str, suffix: str, shown: str) -> list[Row]:
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter="\t" if suffix == ".tsv" else ",")
    rows = []
    try:
        for columns in reader:
            if None in columns:
                raise InputError(
                    f"{shown}, line {reader.line_num}: it has more columns than the header line; "
                    "quote values that hold the delimiter"
                )
            rows.append(Row(reader.line_num, dict(columns)))
    except csv.Error as error:
        raise InputError(f"{shown}, line {reader.line_num}: {error}") from error
    return rows


def _json_rows(text: str, shown: str) -> list[Row]:
    rows = []
    # Not splitlines(): U+2028 and its like are allowed inside JSON strings.
    for line, content in enumerate(text.split("\n"), start=1):
        if not content.strip():
            continue
        try:
            columns = json.loads(content)
        except ValueError as error:
            raise InputError(f"{shown}, line {line}: not valid JSON ({error})") from error
        if not isinstance(columns, dict):
            raise InputError(f"{shown}, line {line}: expected a JSON object, got {type(columns).__name__}")
        rows.append(Row(line, columns))
    return rows
