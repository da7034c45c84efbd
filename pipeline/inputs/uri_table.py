"""A table of URIs as input: each recording that it names, or each segment."""

from __future__ import annotations

import posixpath

from pipeline.inputs.shards import Entry, clip_id, printable
from pipeline.inputs.spelling import folded
from pipeline.inputs.suffixes import TAR_SUFFIXES, is_audio
from pipeline.inputs.table_columns import URI_COLUMNS, by_recording
from pipeline.inputs.table_rows import Row, column_names, pick_column, read_rows
from pipeline.inputs.times import time_columns
from pipeline.storage.errors import InputError, StorageError
from pipeline.storage.filesystem import display_url, is_url, open_filesystem, resolve, split_parent
from schemas.input_config import InputConfig


def list_manifest(url: str, reading: InputConfig = InputConfig()) -> list[Entry]:
    """Return the recordings that a table names, in its order.

    The URI is in `uri_column`, or in the first of uri, path, audio, file... in any capitals; it is relative to the
    table's own folder, or absolute. Columns with times make each row a segment. The other columns become metadata;
    those of several rows about one recording are merged, however they spell its path.
    Raises InputError when there is no such column, or a row has no URI, one that is not a single recording, one with an
    unsupported scheme, or impossible times.
    """
    shown = display_url(url)
    rows = read_rows(url, reading)
    columns = column_names(rows)
    column = pick_column(columns, reading.uri_column, URI_COLUMNS, shown, "URIs")
    if column is None:
        raise InputError(
            f"{shown}: expected a column with the URIs, one of {', '.join(URI_COLUMNS)}; it has {', '.join(columns)}: "
            + _what_to_do(columns)
        )
    schemes: set[str] = set()
    written: dict[str, str] = {}
    root_url = split_parent(url if is_url(url) else open_filesystem(url)[1])[0]

    def uri_of(row: Row) -> str:
        uri = row.columns.get(column)
        if isinstance(uri, dict):
            # As Hugging Face's `datasets` writes audio into JSON.
            uri = uri.get("path")
        if uri is None or uri == "":
            raise InputError(f"{shown}, line {row.line}: the column {column!r} is empty; every row needs a URI")
        if not isinstance(uri, str):
            raise InputError(f"{shown}, line {row.line}: {column!r} is {uri!r}, which is no path and no URL")
        if uri.lower().endswith((*TAR_SUFFIXES, ".parquet")):
            raise InputError(f"{shown}, line {row.line}: {uri!r} holds many recordings; give its folder as the input")
        if is_url(uri) and (scheme := uri.partition("://")[0]) not in schemes:
            try:
                open_filesystem(uri)
            except StorageError as error:
                raise InputError(f"{shown}, line {row.line}: {error}") from error
            schemes.add(scheme)
        # One file may be written in several ways: the first of them names it.
        return written.setdefault(folded(resolve(root_url, uri)), uri)

    times = time_columns(columns) if reading.segments else None
    described = bool(set(columns) - {column} - (times.names if times else frozenset()))
    return [
        Entry(
            _key(uri, url),
            uri,
            0,
            named.metadata(),
            place=uri,
            segments=named.segments(clip_id(uri)),
            named=True,
            described=described,
        )
        for uri, named in by_recording(rows, uri_of, column, times, shown).items()
    ]


def _what_to_do(columns: list[str]) -> str:
    if any(is_audio(name) for name in columns):
        return "give the table a first line with the names of its columns"
    return "name it with --uri-column" + (", or give the --delimiter of the table" if len(columns) == 1 else "")


def _key(uri: str, manifest_url: str) -> str:
    """Return a URI as tables may hold it: without credentials, and without folders of this machine."""
    folder = split_parent(manifest_url)[0]
    if uri.startswith("/"):
        inside = folder and uri.startswith(folder + "/")
        return printable(uri[len(folder) + 1 :] if inside else posixpath.basename(uri))
    return printable(display_url(uri) if is_url(uri) else uri)
