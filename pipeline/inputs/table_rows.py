"""Tables that people write, at any URL -> rows: CSV, TSV, JSON, JSON lines and Parquet, compressed or not."""

from __future__ import annotations

import codecs
import io
import json
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.audio.stream import LFS_POINTER
from pipeline.inputs.arrow_rows import named_rows
from pipeline.inputs.compressed import DAMAGE, decompressed, is_compressed
from pipeline.inputs.delimited import delimited_rows
from pipeline.inputs.suffixes import ROW_SUFFIXES, suffix_of, table_suffix
from pipeline.storage.errors import InputError, storage_errors
from pipeline.storage.filesystem import display_url, open_filesystem
from pipeline.storage.retry import retrying
from schemas.input_config import InputConfig

# A compressed table may claim to be endless.
_MAX_BYTES = 4 << 30
_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


class Row(NamedTuple):
    """One row: the line it ends on, for messages, and its columns by name."""

    line: int
    columns: dict[str, Any]


def read_rows(url: str, reading: InputConfig = InputConfig()) -> list[Row]:
    """Read a table; blanks around names and values are stripped.

    Raises InputError when it is missing, of another kind, not text in UTF-8 or UTF-16, or has a malformed line, which
    the message names.
    """
    shown = display_url(url)
    if table_suffix(url) is None and suffix_of(url) != ".parquet":
        raise InputError(
            f"{shown}: expected a table, one of {', '.join((*ROW_SUFFIXES, '.parquet'))}, or one of them .gz"
        )
    return parse_rows(contents(url), shown, reading)


def parse_rows(data: bytes, shown: str, reading: InputConfig = InputConfig()) -> list[Row]:
    """Return the rows of a table with these contents, called `shown`; raises InputError as `read_rows` does."""
    suffix = table_suffix(shown)
    data = _unpacked(data, shown)
    if suffix is None:
        rows = _parquet_rows(data, shown)
    elif suffix in (".csv", ".tsv"):
        numbered = delimited_rows(_text(data, shown), suffix, shown, reading.delimiter, reading.quote)
        rows = [Row(line, columns) for line, columns in numbered]
    else:
        rows = _json_rows(_text(data, shown), shown)
    if not rows:
        raise InputError(f"{shown}: it has no rows")
    return rows


def column_names(rows: list[Row]) -> list[str]:
    """Return the columns of all rows, in order of first appearance; rows of JSON lines may have different ones."""
    return list(dict.fromkeys(name for row in rows for name in row.columns))


def pick_column(columns: list[str], asked: str | None, known: tuple[str, ...], shown: str, purpose: str) -> str | None:
    """Return the column asked for, or the first known name that is there, in any capitals; None when there is none.

    Raises InputError when the column asked for is not in the table.
    """
    by_name = {name.casefold(): name for name in reversed(columns)}
    if asked is None:
        return next((by_name[name] for name in known if name in by_name), None)
    asked = asked.strip()
    found = asked if asked in columns else by_name.get(asked.casefold())
    if found is None:
        raise InputError(f"{shown}: it has no column {asked!r} for the {purpose}; it has {', '.join(columns)}")
    return found


def contents(url: str) -> bytes:
    """Return the bytes of a table's file; raises InputError if there is none."""
    shown = display_url(url)
    fs, path = open_filesystem(url)
    with storage_errors(f"reading {shown}"):
        try:
            data = bytes(retrying(lambda: fs.cat_file(path), what=f"reading {shown}"))
        except FileNotFoundError as error:
            raise InputError(f"{shown}: it does not exist: check its path") from error
    return data


def _unpacked(data: bytes, shown: str) -> bytes:
    if data.startswith(LFS_POINTER):
        raise InputError(f"{shown}: it is a Git LFS pointer, not the table itself: run `git lfs pull`")
    if not is_compressed(data):
        return data
    try:
        data = decompressed(io.BytesIO(data), data[:16]).read(_MAX_BYTES + 1)
    except (*DAMAGE, OSError) as error:
        raise InputError(f"{shown}: what is compressed in it is damaged or cut short ({error})") from error
    if len(data) > _MAX_BYTES:
        raise InputError(f"{shown}: it has more than {_MAX_BYTES} bytes once it is unpacked: give it in pieces")
    return data


def _text(data: bytes, shown: str) -> str:
    if data.startswith(_UTF_16):
        try:
            return data.decode("utf-16")
        except UnicodeDecodeError as error:
            raise InputError(f"{shown}: it begins as UTF-16, but is not ({error}); save it as UTF-8") from error
    if data[:400].count(0) > len(data[:400]) // 4:
        raise InputError(f"{shown}: it seems to be UTF-16 without a byte order mark; save it as UTF-8")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise InputError(
            f"{shown}, line {line}: it is not UTF-8 text (byte 0x{data[error.start]:02x}); save it as UTF-8"
        ) from error


def _json_rows(text: str, shown: str) -> list[Row]:
    if text.lstrip().startswith("["):
        return _json_array(text, shown)
    rows = []
    # Not splitlines(): U+2028 and its like are allowed inside JSON strings.
    for line, content in enumerate(text.split("\n"), start=1):
        if not content.strip():
            continue
        try:
            columns = json.loads(content)
        except ValueError as error:
            raise InputError(f"{shown}, line {line}: not valid JSON ({error}); each line is an object") from error
        rows.append(_json_row(line, columns, f"{shown}, line {line}"))
    return rows


def _json_array(text: str, shown: str) -> list[Row]:
    try:
        items = json.loads(text)
    except ValueError as error:
        raise InputError(f"{shown}: not valid JSON ({error})") from error
    return [_json_row(number, item, f"{shown}, item {number}") for number, item in enumerate(items, start=1)]


def _json_row(line: int, columns: Any, where: str) -> Row:
    if not isinstance(columns, dict):
        raise InputError(f"{where}: expected a JSON object, got {type(columns).__name__}")
    return Row(line, {name.strip(): stripped(value) for name, value in columns.items()})


def stripped(value: Any) -> Any:
    """Return a text stripped of blanks, and other values as they are."""
    return value.strip() if isinstance(value, str) else value


def _parquet_rows(data: bytes, shown: str) -> list[Row]:
    try:
        table = pq.read_table(io.BytesIO(data))
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{shown}: {error}") from error
    numbered = enumerate(named_rows(table), start=1)
    return [Row(line, {name: stripped(value) for name, value in row.items()}) for line, row in numbered]
