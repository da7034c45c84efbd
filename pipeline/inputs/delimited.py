"""Read delimited text; detects the delimiter, and whether quotation marks are ordinary characters."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from contextlib import suppress

from pipeline.inputs.suffixes import is_audio
from pipeline.storage.errors import InputError

_DELIMITERS = ",\t;|"
# The lines used to find the delimiter.
_FIRST_LINES = 50
_NUMBER = re.compile(r"[+-]?[0-9]+\.?[0-9]*")
_LINE_END = re.compile(r"\r\n|\n|\r")


class _MalformedError(Exception):
    """A line that does not fit: its number and why."""

    def __init__(self, line: int, why: str) -> None:
        super().__init__(why)
        self.line, self.why = line, why


def delimited_rows(
    text: str, suffix: str, shown: str, delimiter: str | None = None, quote: str | None = None
) -> list[tuple[int, dict[str, str]]]:
    """Return the rows by column, each with the line that it ends on; blanks around names and values are stripped.

    The default `delimiter` is the one that splits the first lines into as many columns as the header. Without a `quote`
    (a character, or "none" if quotation marks are ordinary characters) marks quote as in RFC 4180 or with backslashes,
    unless that breaks rows that are whole without. Comments before the header, from `#` to the line's end, are dropped.
    Raises InputError, with the line number, when no reading gives every row as many columns as the header.
    """
    first, _, rest = text.partition("\n")
    skipped = 0
    if re.fullmatch(r"sep=.\r?", first):
        # Excel writes and reads this line.
        text, skipped, delimiter = rest, 1, delimiter or first[4]
    lines = _LINE_END.split(text)
    if (comments := _comments(lines)) is not None:
        lines, delimiter = _without_comments(lines, comments, delimiter, suffix)
        text = "\n".join(lines)
    delimiter = delimiter or _found_delimiter(lines, suffix)
    try:
        header, *rows = _records(text, lines, delimiter, quote)
    except ValueError:
        return []
    except _MalformedError as malformed:
        raise InputError(f"{shown}, line {malformed.line + skipped}: {malformed.why}") from None
    names = [name.strip() for name in header[1]]
    if twice := sorted({name for name in names if name and names.count(name) > 1}):
        raise InputError(f"{shown}, line {header[0] + skipped}: two columns are called {twice[0]!r}; rename one")
    # A column without a name is the index that a data frame leaves behind.
    return [
        (line + skipped, {name: cell.strip() for name, cell in zip(names, cells, strict=True) if name})
        for line, cells in rows
    ]


def _comments(lines: list[str]) -> int | None:
    """Return the index of the last of the leading lines that begin with `#`; None if the first one does not."""
    last = None
    for place, line in enumerate(lines):
        if line.strip() and not line.startswith("#"):
            return last
        last = place if line.strip() else last
    return None


def _without_comments(lines: list[str], last: int, delimiter: str | None, suffix: str) -> tuple[list[str], str]:
    """Return the lines with those up to `last` emptied, except a header among them; and the delimiter.

    The header is the last of them, without its mark, if it has as many columns as the next line and either that line
    has a number or a recording in it, or the mark is not followed by a blank: `#path,label`.
    """
    delimiter = delimiter or _found_delimiter(lines[last + 1 :], suffix)
    comment, first = lines[last], next(line for line in lines[last + 1 :] if line.strip())
    cells = [cell.strip().strip('"') for cell in first.split(delimiter)]
    even = _outside_quotes(comment, delimiter) == _outside_quotes(first, delimiter)
    is_row = any(is_audio(cell) or _NUMBER.fullmatch(cell) for cell in cells)
    is_header = even and (is_row or (len(cells) > 1 and comment[1:2].strip() != ""))
    header = comment.lstrip("#").strip()
    if header.startswith(delimiter):
        # A column that is called `#`.
        header = comment
    return [*[""] * last, header if is_header else "", *lines[last + 1 :]], delimiter


# Each record with the line that it ends on.
_Records = list[tuple[int, list[str]]]


def _records(text: str, lines: list[str], delimiter: str, quote: str | None) -> _Records:
    plain = [(number, line.split(delimiter)) for number, line in enumerate(lines, start=1) if line.strip()]
    if quote == "none" or (quote is None and '"' not in text):
        return _even(plain)
    if quote is not None:
        return _even(_quoted(text, delimiter, quote))
    try:
        quoted = _even(_quoted(text, delimiter, '"'))
        _refuse_swallowed(quoted, lines, delimiter)
        return quoted
    except _MalformedError as malformed:
        for other in _other_readings(text, delimiter):
            if _is_even(other) and len(other) == len(plain):
                return other
        if _is_even(plain) and not _is_quoted(plain):
            return plain
        raise malformed from None


def _quoted(text: str, delimiter: str, quote: str) -> _Records:
    reader = csv.reader(
        io.StringIO(text, newline=""),
        delimiter=delimiter,
        quotechar=quote,
        strict=True,
        skipinitialspace=delimiter != " ",
    )
    records, began = [], 1
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                records.append((reader.line_num, cells))
            began = reader.line_num + 1
    except csv.Error as error:
        raise _MalformedError(
            began,
            f"a quotation mark in it does not pair with another ({error}); if they are letters, give --quote none",
        ) from error
    return records


def _other_readings(text: str, delimiter: str) -> Iterator[_Records]:
    """Yield two readings: with blanks after closing marks stripped, and with marks escaped by backslashes."""
    with suppress(_MalformedError):
        yield _quoted(re.sub(rf'" +(?=[{re.escape(delimiter)}\r\n]|$)', '"', text), delimiter, '"')
    with suppress(_MalformedError):
        yield _quoted(text.replace('\\"', '""'), delimiter, '"')


def _refuse_swallowed(records: _Records, lines: list[str], delimiter: str) -> None:
    """Refuse a record of several lines if rows lie inside it, between marks that open and close in different rows.

    A CSV reader takes it for one row: the rows between are lost, and the first gets the last one's columns. A line is a
    row if it has as many columns as the record, or begins with the name of a recording; one such line is enough, as the
    others may be malformed. If every cell of the record is quoted, no mark stands alone.
    """
    whole = re.compile(rf'(?:\s*"(?:[^"]|"")*"\s*(?:{re.escape(delimiter)}|\Z))+')
    before = 0
    for line, cells in records:
        within = [one for one in lines[before:line] if one.strip()]
        rows = (
            len(parts) >= len(cells) or (len(parts) > 1 and is_audio(parts[0].strip()))
            for parts in (one.split(delimiter) for one in within[1:])
        )
        if any(rows) and (len(cells) == 1 or not whole.fullmatch("\n".join(within))):
            raise _MalformedError(
                before + 1,
                f"a quotation mark in it closes on line {line} only, and there are rows until there; if marks are "
                "letters, give --quote none, and if a value has several lines, --quote '\"'",
            )
        before = line


def _is_quoted(plain: _Records) -> bool:
    """Whether half of a column's values are in quotation marks: then these quote, whatever the column's name has."""
    for column in range(len(plain[0][1])):
        values = [value for _, cells in plain[1:] if (value := cells[column].strip())]
        marked = sum(len(value) > 1 and value[0] == '"' == value[-1] for value in values)
        if values and marked >= 0.5 * len(values):
            return True
    return False


def _even(records: _Records) -> _Records:
    """Return the records if each has as many columns as the first."""
    for line, cells in records:
        if len(cells) != len(records[0][1]):
            more = "more" if len(cells) > len(records[0][1]) else "fewer"
            raise _MalformedError(
                line,
                f"it has {more} columns than the header line, {len(cells)} and not {len(records[0][1])}; quote values "
                "that hold the delimiter, or give another --delimiter or --quote",
            )
    return records


def _is_even(records: _Records) -> bool:
    return all(len(cells) == len(records[0][1]) for _, cells in records)


def _found_delimiter(lines: list[str], suffix: str) -> str:
    first = [line for line in lines if line.strip()][:_FIRST_LINES]
    usual = "\t" if suffix == ".tsv" else ","
    if not first:
        return usual

    def fits(delimiter: str) -> tuple[bool, int, bool]:
        counts = [_outside_quotes(line, delimiter) for line in first]
        even = sum(count == counts[0] for count in counts) > 0.9 * len(counts)
        return even and counts[0] > 0, counts[0] if even else 0, delimiter == usual

    if suffix == ".tsv" and "\t" in first[0]:
        return usual
    return usual if fits(usual)[0] else max(_DELIMITERS, key=fits)


def _outside_quotes(line: str, delimiter: str) -> int:
    return sum(part.count(delimiter) for part in line.split('"')[::2])
