"""Read the rows of tables, by plain rules for delimiters and quotation marks."""

from __future__ import annotations

import bz2
import codecs
import contextlib
import csv
import gzip
import io
import json
import lzma
import os
import re
from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.inputs.suffixes import AUDIO_SUFFIXES
from pipeline.storage.filesystem import open_filesystem
from schemas.input_config import InputConfig

_TEXTS = (".csv", ".tsv", ".jsonl", ".ndjson", ".json")
TABLES = tuple(text + packed for text in _TEXTS for packed in ("", ".gz", ".bz2", ".xz", ".zst"))


def _unpack_zstd(data: bytes) -> bytes:
    return bytes(pa.CompressedInputStream(pa.BufferReader(data), "zstd").read())


_MAGIC = (
    (b"\x1f\x8b", gzip.decompress),
    (b"BZh", bz2.decompress),
    (b"\xfd7zXZ", lzma.decompress),
    (b"\x28\xb5\x2f\xfd", _unpack_zstd),
)


def rows_of(url: str, reading: InputConfig) -> Iterator[dict[str, Any]]:
    """Yield the rows of a table; blanks around names and values are stripped."""
    fs, path = open_filesystem(url)
    yield from rows_in(bytes(fs.cat_file(path)), url, reading)


def rows_in(data: bytes, url: str, reading: InputConfig) -> Iterator[dict[str, Any]]:
    """Yield the rows of a table's contents, whose format its name says; raises ValueError when they are malformed."""
    name, packed = os.path.splitext(url.lower())
    # By content: a name may wrongly say that it is compressed, or that it is not.
    unpack = next((unpack for magic, unpack in _MAGIC if data.startswith(magic)), None)
    if unpack is not None:
        data = unpack(data)
    if packed == ".parquet":
        yield from _table_rows(data)
        return
    text = data.decode("utf-16" if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig")
    if (url.lower() if packed in _TEXTS else name).endswith((".jsonl", ".ndjson", ".json")):
        lines = (
            json.loads(text) if text.lstrip().startswith("[") else map(json.loads, filter(str.strip, text.split("\n")))
        )
        yield from lines
        return
    text = _without_comments(text)
    given = re.match("sep=(.)\r?\n", text)
    text = text[given.end() :] if given is not None else text
    head = text.split("\n", 1)[0]
    delimiter = reading.delimiter or (given and given[1]) or max("\t,;|", key=head.count)
    header, *rows = _cells(text, delimiter, reading.quote) or [[]]
    for row in rows:
        pairs = zip(header, row, strict=False)
        yield {name.strip(): value.strip() for name, value in pairs if name.strip()}


def _without_comments(text: str) -> str:
    """Return a table without its leading comment lines, the last of which may be its header."""
    comments = re.match(r"(?:[ \t]*(?:#[^\r\n]*)?(?:\r\n|\n|\r))*", text)
    after = text[comments.end() :] if comments is not None else text
    marked = [line for line in re.split("\r\n|\n|\r", text[: len(text) - len(after)]) if line.startswith("#")]
    if not marked:
        return text
    first = re.split("\r\n|\n|\r", after, maxsplit=1)[0]
    last, row = (re.sub('"[^"]*"', "", line) for line in (marked[-1], first))
    delimiter = max("\t,;|", key=row.count)
    data = any(
        re.fullmatch(r"[+-]?\d+\.?\d*", cell) or cell.lower().endswith(tuple(AUDIO_SUFFIXES))
        for cell in (cell.strip().strip('"') for cell in first.split(delimiter))
    )
    if last.count(delimiter) == row.count(delimiter) and (data or (delimiter in row and marked[-1][1:2].strip())):
        header = marked[-1].lstrip("#").strip()
        return f"{marked[-1] if header.startswith(delimiter) else header}\n{after}"
    return after


def _table_rows(data: bytes) -> list[dict[str, Any]]:
    table = pq.read_table(pa.BufferReader(data))
    classes = class_names(table.schema)
    return [with_names(row, classes) for row in table.to_pylist()]


def _cells(text: str, delimiter: str, quote: str | None) -> list[list[str]]:
    """Return the cells of each row: by quotation marks if that loses no line, else by line if each is whole without.

    Raises ValueError when neither holds and a value of several lines has a row in it.
    """
    lines = [line for line in re.split("\r\n|\n|\r", text) if line.strip()]
    plain = [line.split(delimiter) for line in lines]
    if quote == "none":
        return plain
    rows, took, before = [], [], 0
    reader = csv.reader(
        io.StringIO(text, newline=""), delimiter=delimiter, quotechar=quote or '"', skipinitialspace=True
    )
    for row in reader:
        if any(cell.strip() for cell in row):
            rows.append(row)
            took.append((before, reader.line_num))
        before = reader.line_num
    width = len(plain[0]) if plain else 0
    even = text.count('"') % 2 == 0 and all(len(row) == width for row in rows)
    if quote is not None or (len(rows) == len(plain) and even):
        return rows
    marked = sum(line.lstrip().startswith('"') for line in lines[1:])
    if all(len(row) == width for row in plain) and 2 * marked < len(lines):
        return plain
    every = re.split("\r\n|\n|\r", text)
    for first, last in took:
        inside = [line.split(delimiter) for line in every[first + 1 : last]]
        names = (row[0].strip().lower() for row in inside if len(row) > 1)
        if not every[first].startswith('"') and (
            any(len(row) >= width for row in inside) or any(name.endswith(tuple(AUDIO_SUFFIXES)) for name in names)
        ):
            raise ValueError(f"the marks on line {first + 1} take rows until line {last}")
    return rows


def features_of(schema: pa.Schema) -> dict[str, Any]:
    """Return what Hugging Face's metadata says about each column; empty without."""
    features: dict[str, Any] = {}
    with contextlib.suppress(KeyError, TypeError, AttributeError, ValueError):
        features = dict(json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"])
    return features


def class_names(schema: pa.Schema) -> dict[str, list[str]]:
    """Return the class names of the columns that hold class numbers, or lists of them."""
    return {name: names for name, feature in features_of(schema).items() if (names := _names_in(feature))}


def _names_in(feature: Any) -> list[str]:
    if isinstance(feature, list) and feature:
        feature = {"feature": feature[0]}
    if not isinstance(feature, dict):
        return []
    return list(feature["names"]) if feature.get("_type") == "ClassLabel" else _names_in(feature.get("feature"))


def with_names(row: dict[str, Any], classes: Mapping[str, list[str]]) -> dict[str, Any]:
    """Return a row with the names of its classes instead of their numbers; None for a number without a name."""
    return row | {name: _named(row.get(name), names) for name, names in classes.items()}


def _named(value: Any, names: list[str]) -> Any:
    if isinstance(value, list):
        return [_named(one, names) for one in value]
    return names[value] if isinstance(value, int) and 0 <= value < len(names) else None
