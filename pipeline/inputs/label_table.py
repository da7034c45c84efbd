"""Read a table of labels, and join it to the recordings of an input by their names."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from pipeline.inputs.labels import Annotation, GroundTruth
from pipeline.inputs.listing import Listing
from pipeline.inputs.match_names import find_rows
from pipeline.inputs.names import names_of
from pipeline.inputs.spelling import folded
from pipeline.inputs.table_columns import KEY_COLUMNS, LABEL_COLUMNS, LabelTable, Named, by_recording
from pipeline.inputs.table_rows import Row, column_names, pick_column, read_rows
from pipeline.inputs.times import time_columns
from pipeline.storage.errors import InputError
from pipeline.storage.filesystem import display_url
from schemas.input_config import InputConfig


def load_labels(reading: InputConfig, needed: bool = True) -> LabelTable | None:
    """Load the table `reading.labels`; None if none is given.

    `label_column` holds the label (default: the first of label, labels, category, class, target_name...), `key_column`
    the recording's key or path (default: the first of key, uri, path, file...). Columns with times make each row a
    segment; several rows about one recording or segment give it several labels.
    Raises InputError when there is no such column (for labels, only if they are `needed`), a row has no key, or its
    times are impossible.
    """
    if reading.labels is None:
        return None
    shown, rows = display_url(reading.labels), read_rows(reading.labels, reading)
    columns = column_names(rows)
    key_column = pick_column(columns, reading.key_column, KEY_COLUMNS, shown, "recordings' keys")
    if key_column is None:
        raise InputError(
            f"{shown}: which column names the recordings? It has {', '.join(columns)}: give one with --key-column"
        )
    others = [name for name in columns if name != key_column]
    label_column = pick_column(others, reading.label_column, LABEL_COLUMNS, shown, "labels")
    if label_column is None and needed:
        raise InputError(
            f"{shown}: which column is the label? It has {', '.join(columns)}: give one with --label-column"
        )

    def key_of(row: Row) -> str:
        value = row.columns.get(key_column)
        if value is None or not str(value).strip():
            raise InputError(
                f"{shown}, line {row.line}: the column {key_column!r} is empty; every row needs a recording"
            )
        return folded(str(value))

    times = time_columns(columns) if reading.segments else None
    found = by_recording(rows, key_of, key_column, times, shown)
    return LabelTable(shown, found, label_column)


def ground_truth(listing: Listing, reading: InputConfig, table: LabelTable | None) -> GroundTruth:
    """Return where the labels of a listed input come from, with the rows of its table matched to its recordings.

    Raises InputError when no row matches any recording, or one may match several.
    """
    if table is None:
        return GroundTruth(reading.label_column, reading.label_separator)
    names = list(names_of(listing.root_url, listing.shards))
    rows = find_rows(table, names, listing.root_url)
    if names and not rows:
        raise InputError(
            f"{table.shown}: none of its {len(table.rows)} recordings is one of the input's {len(names)}; it names "
            f"recordings like {_examples(table.rows)}, the input has {_examples(name.name for name in names)}; if "
            "another column has these, give --key-column"
        )
    # Without a value from the table, the label of a sidecar or of the input's own segments would remain.
    unlabelled = {table.label_column: None} if table.label_column is not None else {}

    def annotation(identity: str, row: Named) -> Annotation:
        parts = (replace(one, metadata=unlabelled | one.metadata) for one in row.segments(identity))
        return Annotation(unlabelled | row.metadata(), tuple(parts))

    annotations = {identity: annotation(identity, row) for identity, row in rows.items()}
    return GroundTruth(table.label_column, reading.label_separator, annotations, len(names))


def _examples(names: Iterable[str]) -> str:
    return ", ".join(repr(name) for _, name in zip(range(3), names, strict=False))
