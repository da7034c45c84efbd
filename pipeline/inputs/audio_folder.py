"""Read `metadata.csv` in a folder of recordings, as in Hugging Face's AudioFolder: what it says about each of them."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable
from dataclasses import replace

from pipeline.inputs.shards import Entry, clip_id
from pipeline.inputs.spelling import folded
from pipeline.inputs.table_columns import URI_COLUMNS, Named, by_recording
from pipeline.inputs.table_rows import Row, column_names, contents, pick_column, read_rows
from pipeline.inputs.times import time_columns
from pipeline.storage.errors import InputError
from pipeline.storage.filesystem import display_url, join
from schemas.input_config import InputConfig

_HEAD_BYTES = 1 << 16
_NAMES = ("metadata.csv", "metadata.jsonl", "metadata.parquet", "metadata.tsv")


def described_by_folders(
    root_url: str, entries: list[Entry], others: Iterable[str], reading: InputConfig
) -> tuple[list[Entry], list[str]]:
    """Add to entries what `metadata.csv` in their folder, or in one above it, says about them; also return these files.

    A table that names none of the recordings does not count, nor does a table about something else. In a folder with
    such a table, recordings without a row have no label: the folder's name is not used.
    Raises InputError when such a table cannot be read.
    """
    # From the top down: the table nearest to a recording wins.
    tables = sorted(filter(is_folder_table, others), key=lambda path: (path.count("/"), path))
    if not tables:
        return entries, []
    used = []
    place = {folded(entry.uri): number for number, entry in enumerate(entries)}
    found = list(entries)
    for path in tables:
        url, folder = join(root_url, path), posixpath.dirname(path)
        try:
            named = recordings_of(read_rows(url, reading), folder, display_url(url), reading)
        except InputError:
            if names_recordings(contents(url)):
                raise
            # A table about something else may have any form.
            continue
        matched = {place[name]: one for name, one in named.items() if name in place}
        if not matched:
            continue
        used.append(path)
        prefix = folder + "/" if folder else ""
        for number, entry in enumerate(found):
            if number in matched:
                one = matched[number]
                segments = one.segments(clip_id(entry.place))
                found[number] = replace(entry, metadata=one.metadata(), segments=segments, described=True)
            elif entry.uri.startswith(prefix) and not entry.described:
                found[number] = replace(entry, described=True)
    return found, used


def is_folder_table(path: str) -> bool:
    """Return whether a file's name is that of a table of its folder's recordings."""
    return posixpath.basename(path).lower() in _NAMES


def names_recordings(data: bytes) -> bool:
    """Return whether a table that could not be read seems to be about recordings, by the words of its first line.

    A table in another encoding is searched all the same; one with zero bytes, such as UTF-16, may be one.
    """
    head = data[:_HEAD_BYTES].decode("utf-8-sig", "ignore")
    lines = [line for line in head.splitlines() if line.strip()][:1]
    words = {word.strip().casefold() for line in lines for word in re.split(r"[,;|\t{}:\"']", line)}
    return "\0" in head or not words.isdisjoint(("file_name", *URI_COLUMNS))


def recordings_of(rows: list[Row], folder: str, shown: str, reading: InputConfig) -> dict[str, Named]:
    """Return what a folder's table says about each recording, by its folded path; empty if it names none.

    Raises InputError for impossible times.
    """
    columns = column_names(rows)
    column = pick_column(columns, None, ("file_name", *URI_COLUMNS), shown, "recordings")
    if column is None:
        return {}
    return by_recording(
        (row for row in rows if row.columns.get(column)),
        lambda row: folded(posixpath.join(folder, str(row.columns[column]))),
        column,
        time_columns(columns) if reading.segments else None,
        shown,
    )
