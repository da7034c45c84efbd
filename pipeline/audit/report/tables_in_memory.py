"""The small columns of a run's tables that a report's queries use, read once."""

from __future__ import annotations

import duckdb

from pipeline.runs.run import Run

# A query on the files themselves opens each of them again: thousands, at some milliseconds each in a bucket.
_COLUMNS = {
    "predictions": ("window_id", "clip_id", "label", "label_true", "probability", "duration_s"),
    "faithfulness": (
        *("window_id", "target", "p", "p_in", "p_out", "ff", "ad", "fid_in", "mask_mean", "energy_kept"),
        *("p_in_audio", "p_out_audio"),
    ),
}


def connect(run: Run) -> duckdb.DuckDBPyConnection:
    """A connection to the tables of a run, which holds these columns of `predictions` and `faithfulness` in memory.

    They take about 250 bytes a window.
    """
    connection = run.connect()
    for name, columns in _COLUMNS.items():
        connection.execute(f"CREATE TABLE read_{name} AS SELECT {', '.join(columns)} FROM {name}")
        connection.unregister(name)
        connection.execute(f"ALTER TABLE read_{name} RENAME TO {name}")
    return connection
