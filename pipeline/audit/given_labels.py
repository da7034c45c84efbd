"""Labels and other columns from a table passed to an audit, matched to a run's recordings by name."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from pipeline.inputs.label_table import load_labels
from pipeline.inputs.labels import labels_in
from pipeline.inputs.match_names import find_rows
from pipeline.inputs.names import RecordingName, unpacked
from pipeline.runs.run import Run
from pipeline.storage.errors import InputError
from pipeline.storage.filesystem import display_url
from schemas.input_config import InputConfig


@dataclass(frozen=True)
class Given:
    """What a table says of a run's recordings, by `clip_id`: labels, None without a table of them, and all columns."""

    labels: dict[str, list[str]] | None = None
    columns: dict[str, dict[str, Any]] = field(default_factory=dict)


def given_labels(run: Run, reading: InputConfig) -> Given:
    """What the table `reading.labels` says of a run's recordings; nothing without a table.

    Recordings that the table does not name have no labels; each channel and segment of a named one has its labels.
    Raises InputError if the table cannot be read, lacks a column, names no recording of the run or one that may be
    several, or names segments, which a run's tables cannot locate.
    """
    table = load_labels(reading, needed=False)
    if table is None:
        return Given()
    if any(row.parts for row in table.rows.values()):
        raise InputError(
            f"{table.shown}: it names segments of recordings, which cannot be found by their names: explain with this "
            "table, and the labels come with the run"
        )
    clips: dict[tuple[str, str], list[str]] = {}
    for shard, key, clip_id in run.sql("SELECT DISTINCT shard, key, clip_id FROM predictions ORDER BY ALL").fetchall():
        clips.setdefault((shard, key), []).append(clip_id)
    names = [RecordingName(found[0], key, key, unpacked(shard)) for (shard, key), found in clips.items()]
    rows = find_rows(table, names, "")
    if not rows:
        raise InputError(
            f"{table.shown}: none of its {len(table.rows)} recordings is one of the {len(names)} of "
            f"{display_url(run.url)}; it names {next(iter(table.rows), None)!r}, the run has {names[0].name!r}"
        )
    separator = reading.label_separator
    labels: dict[str, list[str]] = {}
    columns: dict[str, dict[str, Any]] = {}
    for name, same in zip(names, clips.values(), strict=True):
        if (row := rows.get(name.clip_id)) is not None:
            told = row.metadata()
            named = [] if table.label_column is None else list(labels_in(told.get(table.label_column), separator))
            for clip_id in same:
                columns[clip_id], labels[clip_id] = told, named
    return Given(labels if table.label_column is not None else None, columns)
