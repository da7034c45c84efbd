"""A table of URIs as input: one row, one recording."""

from __future__ import annotations

import posixpath

from pipeline.inputs.metadata import jsonable
from pipeline.inputs.shards import Entry, printable
from pipeline.inputs.table_rows import column_names, pick_column, read_rows
from pipeline.storage.errors import InputError, StorageError
from pipeline.storage.filesystem import display_url, is_url, open_filesystem, split_parent

URI_COLUMNS = ("uri", "path", "audio", "file")


def list_manifest(url: str) -> list[Entry]:
    """Return the recordings that a CSV or JSON-lines manifest names, in its order.

    The URI stands in the first column of uri, path, audio, file; it is relative to the manifest's own folder,
    or absolute. The other columns become metadata. Raises InputError when there is no such column, or a row
    has no URI, the same URI as another, one that is not a single recording, or one of a scheme that nothing here opens.
    """
    shown = display_url(url)
    rows = read_rows(url)
    columns = column_names(rows)
    column = pick_column(columns, None, URI_COLUMNS, shown, "URI")
    if column is None:
        raise InputError(
            f"{shown}: expected a column with the URIs, one of {', '.join(URI_COLUMNS)}; it has {', '.join(columns)}"
        )
    entries: list[Entry] = []
    lines: dict[str, int] = {}
    schemes: set[str] = set()
    for line, cells in rows:
        uri = cells.get(column)
        if not isinstance(uri, str) or not uri.strip():
            raise InputError(f"{shown}, line {line}: the column {column!r} is empty; every row needs a URI")
        if uri in lines:
            raise InputError(f"{shown}, line {line}: {uri!r} is named before, on line {lines[uri]}; keep one")
        if uri.lower().endswith((".tar", ".parquet")):
            raise InputError(f"{shown}, line {line}: {uri!r} holds many recordings; give its folder as the input")
        if is_url(uri) and (scheme := uri.partition("://")[0]) not in schemes:
            try:
                open_filesystem(uri)
            except StorageError as error:
                raise InputError(f"{shown}, line {line}: {error}") from error
            schemes.add(scheme)
        lines[uri] = line
        metadata = {name: jsonable(value) for name, value in cells.items() if name != column}
        entries.append(Entry(_key(uri, url), uri, 0, metadata, place=uri))
    return entries


def _key(uri: str, manifest_url: str) -> str:
    """Return a URI as it may stand in tables: without credentials, and without folders of this machine."""
    folder = split_parent(manifest_url)[0]
    if uri.startswith("/"):
        inside = folder and uri.startswith(folder + "/")
        return printable(uri[len(folder) + 1 :] if inside else posixpath.basename(uri))
    return printable(display_url(uri) if is_url(uri) else uri)
