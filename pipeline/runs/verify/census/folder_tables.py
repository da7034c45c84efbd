"""Read what a table in a folder says about the recordings beside it, as in Hugging Face's AudioFolder."""

from __future__ import annotations

import csv
import posixpath
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pyarrow as pa

from pipeline.inputs.table_columns import URI_COLUMNS
from pipeline.runs.verify.census.counted import DAMAGE, WHOLE, Census, Counted, Span, segment_id
from pipeline.runs.verify.census.meaning import labels_of, span_of
from pipeline.runs.verify.census.rows import rows_in
from schemas.input_config import InputConfig

FOLDER_TABLES = ("metadata.csv", "metadata.jsonl", "metadata.parquet", "metadata.tsv")


def described_by_tables(
    tables: Mapping[str, bytes], reading: InputConfig, census: Census
) -> dict[str, dict[Span, list[dict[str, Any]]]]:
    """Return what the tables of folders say about the recordings in them, by their paths; the nearest table wins."""
    found: dict[str, dict[Span, list[dict[str, Any]]]] = {}
    for place in sorted(tables, key=lambda place: (place.count("/"), place)):
        try:
            rows = list(rows_in(tables[place], place, reading))
        except (*DAMAGE, pa.ArrowException, csv.Error) as error:
            first = tables[place].lstrip().split(b"\n", 1)[0].lower()
            if not place.lower().endswith(".parquet") and not any(one.encode() in first for one in URI_COLUMNS):
                # A table about something else.
                continue
            census.uncounted.append((f"{place}: {error}", ()))
            continue
        columns = {name.lower(): name for row in rows for name in row}
        column = next((columns[name] for name in ("file_name", *URI_COLUMNS) if name in columns), "")
        here: dict[str, dict[Span, list[dict[str, Any]]]] = defaultdict(lambda: defaultdict(list))
        for row in rows:
            if row.get(column):
                path = posixpath.normpath(posixpath.join(posixpath.dirname(place), str(row[column]).replace("\\", "/")))
                said = {name: value for name, value in row.items() if name != column}
                here[path][span_of(said, columns.values()) if reading.segments else WHOLE].append(said)
        found.update(here)
    return found


def with_rows(
    one: Counted,
    described: Mapping[str, dict[Span, list[dict[str, Any]]]],
    said: Mapping[str, Any],
    reading: InputConfig,
) -> Iterator[Counted]:
    """Yield a recording, or its segments, with the labels from its folder's table; `said` comes from its sidecars."""
    spans = described.get(one.names[0], {})
    parted = set(spans) - {WHOLE}
    for span, rows in spans.items() if spans else [(WHOLE, [dict(said)])]:
        every = [labels_of({**said, **row} if parted else {**row, **said}, reading) for row in rows]
        known = [labels for labels in every if labels is not None]
        labels = tuple(dict.fromkeys(label for some in known for label in some)) if known else None
        name = one.name if span == WHOLE else f"{one.name} from {span[0]:g} s"
        yield replace(
            one, clip_id=segment_id(one.clip_id, span), name=name, labels=labels, span=span, of_file=one.clip_id
        )
