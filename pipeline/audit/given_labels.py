"""Labels from a table passed to an audit, matched to a run's recordings by name."""

from __future__ import annotations

from pipeline.inputs.label_table import load_labels
from pipeline.inputs.labels import labels_in
from pipeline.inputs.match_names import find_rows
from pipeline.inputs.names import RecordingName, unpacked
from pipeline.runs.run import Run
from pipeline.storage.errors import InputError
from pipeline.storage.filesystem import display_url
from schemas.input_config import InputConfig


def given_labels(run: Run, reading: InputConfig) -> dict[str, list[str]] | None:
    """The labels of a run's recordings by `clip_id`, from the table `reading.labels`; None without a table.

    Recordings that the table does not name have none; each channel and segment of a named one has its labels.
    Raises InputError if the table cannot be read, lacks a column, names no recording of the run or one that may be
    several, or names segments, which a run's tables cannot locate.
    """
    table = load_labels(reading)
    if table is None or table.label_column is None:
        return None
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
    found: dict[str, list[str]] = {}
    for name, same in zip(names, clips.values(), strict=True):
        if (row := rows.get(name.clip_id)) is not None:
            labels = list(labels_in(row.metadata().get(table.label_column), separator))
            found |= dict.fromkeys(same, labels)
    return found
