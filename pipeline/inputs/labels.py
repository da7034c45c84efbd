"""Ground truth: from a table of labels if one is given, else from a recording's metadata, else from its folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from pipeline.inputs.recording import RawRecording, ReadFault, Segment
from pipeline.inputs.table_columns import LABEL_COLUMNS

# A sidecar's `.cls` and `.label` come under these names.
_METADATA_LABELS = (*LABEL_COLUMNS, "cls")


@dataclass(frozen=True)
class LabelledSegment:
    """A recording or a segment of one, with all its metadata; `stop_s` is None at the recording's end."""

    clip_id: str
    start_s: float
    stop_s: float | None
    metadata: dict[str, Any]
    labels: tuple[str, ...]


@dataclass(frozen=True)
class Annotation:
    """What a table of labels says about one recording: columns for the whole, or segments with their own.

    The column of labels is always among them, with None if it is empty in the table.
    """

    metadata: dict[str, Any] = field(default_factory=dict)
    segments: tuple[Segment, ...] = ()


@dataclass(frozen=True)
class GroundTruth:
    """Where the labels of a run's recordings come from, the same in every command.

    If a table was given, `annotations` are its rows by `clip_id`, and labels come from nowhere else. Otherwise a label
    is the `label_column` of a recording's metadata; without a `label_column`, the first of label, labels, category,
    class... that is there, or else the name of its folder. `separator` separates several labels in one text.
    """

    label_column: str | None = None
    separator: str | None = None
    annotations: Mapping[str, Annotation] | None = None
    total: int = 0

    def segments_of(self, recording: RawRecording) -> tuple[LabelledSegment, ...]:
        """Return the segments of a recording, or the whole of it as one, with their labels and all metadata."""
        recording = self.annotated(recording)
        segments = recording.segments or (Segment(recording.clip_id, 0.0, None),)
        found = []
        for segment in segments:
            metadata = recording.metadata | segment.metadata
            labels = self.labels_of(metadata, recording)
            found.append(LabelledSegment(segment.clip_id, segment.start_s, segment.stop_s, metadata, labels))
        return tuple(found)

    def annotated(self, recording: RawRecording) -> RawRecording:
        """Return a recording with the metadata and the segments that the table has for it."""
        row = (self.annotations or {}).get(recording.clip_id)
        if row is None:
            return recording
        # The table also overrides what the input says about its own segments.
        own = (replace(one, metadata=one.metadata | row.metadata) for one in recording.segments)
        return replace(recording, metadata=recording.metadata | row.metadata, segments=row.segments or tuple(own))

    def lost(self, fault: ReadFault) -> tuple[str, ...]:
        """Return the `clip_id`s lost by a fault: the recording's, or those of its segments."""
        row = (self.annotations or {}).get(fault.clip_id)
        segments = (row.segments if row is not None else ()) or fault.segments
        return tuple(segment.clip_id for segment in segments) or (fault.clip_id,)

    def labels_of(self, metadata: Mapping[str, Any], recording: RawRecording) -> tuple[str, ...]:
        """Return the labels of a recording or a segment, by its `metadata` with the table's columns in them."""
        if self.annotations is not None:
            if recording.clip_id not in self.annotations or self.label_column is None:
                return ()
            return labels_in(metadata.get(self.label_column), self.separator)
        names = (self.label_column,) if self.label_column else _METADATA_LABELS
        there = {name.strip().casefold(): value for name, value in reversed(list(metadata.items()))}
        known = [there[name.casefold()] for name in names if name.casefold() in there]
        for value in known:
            if labels := labels_in(value, self.separator):
                return labels
        # An empty label field says that there is no label.
        return (recording.folder,) if recording.folder and not known and not self.label_column else ()

    def describe(self) -> str | None:
        """Return in words how many recordings the table gives a label; None without a table."""
        if self.annotations is None:
            return None
        rows = ([row.metadata, *(segment.metadata for segment in row.segments)] for row in self.annotations.values())
        column = self.label_column or ""
        labelled = sum(any(labels_in(one.get(column), self.separator) for one in columns) for columns in rows)
        return f"{labelled} of {self.total} recordings have a label"


def labels_in(value: Any, separator: str | None = None) -> tuple[str, ...]:
    """Return the labels in a value: a text, a number, or a list of them, each once.

    >>> labels_in(["dog", "cat", "dog"]), labels_in("dog; cat", ";"), labels_in(None)
    (('dog', 'cat'), ('dog', 'cat'), ())
    """
    if isinstance(value, (list, tuple)):
        found = [label for item in value for label in labels_in(item, separator)]
    elif value is None or (isinstance(value, (dict, float)) and value != value):
        found = []
    elif isinstance(value, dict):
        found = [json.dumps(value, ensure_ascii=False)]
    else:
        text = str(value)
        found = [part.strip() for part in (text.split(separator) if separator else (text,))]
    return tuple(dict.fromkeys(label for label in found if label))
