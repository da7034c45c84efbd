"""Rows of a table that name recordings -> recordings with their labels, segments and other columns."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pipeline.inputs.metadata import jsonable
from pipeline.inputs.recording import Segment
from pipeline.inputs.shards import segment_id
from pipeline.inputs.table_rows import Row
from pipeline.inputs.times import TimeColumns

URI_COLUMNS = (
    *("uri", "path", "audio", "file", "filename", "file_name", "audio_filepath", "wav", "fname"),
    *("filepath", "file_path", "audio_path", "audio_file", "wav_path", "slice_file_name", "url"),
)
# In a table of labels: the columns that may name a recording, the most certain first.
KEY_COLUMNS = ("key", *URI_COLUMNS, "recording", "clip", "name", "id", "ytid")
LABEL_COLUMNS = (
    *("label", "labels", "category", "class", "target_name", "class_name", "class_label"),
    *("event_label", "primary_label", "positive_labels"),
)

Span = tuple[float, float | None]


@dataclass
class Named:
    """What a table says about one recording: columns for all of it and for segments; the `line` it first stands on."""

    line: int
    whole: dict[str, Any] | None = None
    parts: dict[Span, dict[str, Any]] = field(default_factory=dict)

    def add(self, span: Span | None, columns: dict[str, Any]) -> None:
        """Add another row; a column in which rows differ gets a list of their values."""
        if span is None or span == (0.0, None):
            # From the beginning to the end is the whole recording, and has its id.
            self.whole = columns if self.whole is None else _merged(self.whole, columns)
        else:
            self.parts[span] = columns if span not in self.parts else _merged(self.parts[span], columns)

    def metadata(self) -> dict[str, Any]:
        """Return the columns of the recording itself, unless it is one of its segments."""
        return self.whole if self.whole is not None and not self.parts else {}

    def segments(self, identity: str) -> tuple[Segment, ...]:
        """Return the segments of the recording with this `clip_id`; none if all of it is meant."""
        if not self.parts:
            return ()
        whole = [((0.0, None), self.whole)] if self.whole is not None else []
        spans = [*whole, *sorted(self.parts.items(), key=lambda one: (one[0][0], one[0][1] or float("inf")))]
        return tuple(Segment(segment_id(identity, *span), *span, columns or {}) for span, columns in spans)


@dataclass(frozen=True)
class LabelTable:
    """What a table says about recordings, by the names that it gives them; `label_column` is None if it has none."""

    shown: str
    rows: dict[str, Named]
    label_column: str | None

    @property
    def digest(self) -> str:
        """SHA-256 of all rows: two tables with one digest say the same about every recording."""
        rows = [
            [name, row.whole, [[*span, columns] for span, columns in row.parts.items()]]
            for name, row in sorted(self.rows.items())
        ]
        return hashlib.sha256(json.dumps([self.label_column, rows], sort_keys=True).encode()).hexdigest()


def by_recording(
    rows: Iterable[Row], key: Callable[[Row], str], key_column: str, times: TimeColumns | None, shown: str
) -> dict[str, Named]:
    """Return what a table says about each recording, by its key, in the table's order.

    Raises InputError, with the line number, for impossible times.
    """
    found: dict[str, Named] = {}
    for row in rows:
        span = times.span(row.columns, f"{shown}, line {row.line}") if times is not None else None
        columns = {name: jsonable(value) for name, value in row.columns.items() if name != key_column}
        found.setdefault(key(row), Named(row.line)).add(span, columns)
    return found


def _merged(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(one)
    for name, value in other.items():
        values = [*_listed(merged.get(name)), *_listed(value)]
        distinct = [item for place, item in enumerate(values) if item not in values[:place]]
        merged[name] = distinct[0] if len(distinct) == 1 else distinct or None
    return merged


def _listed(value: Any) -> list[Any]:
    if value is None or value == "":
        return []
    return value if isinstance(value, list) else [value]
