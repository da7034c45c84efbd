"""A run as the questions of an audit see it: its windows in one order, with large columns read on demand."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.audit.findings import Member
from pipeline.audit.questions import question
from pipeline.runs.run import Run
from schemas.audit_tables import Kind
from schemas.errors import LmacError

# Read separately: for a million windows they take gigabytes.
_LARGE = ("probabilities", "embedding")
_GIVEN = """
    CREATE VIEW predictions AS
    SELECT recorded.* REPLACE (
        {labels} AS label_true,
        json_merge_patch(recorded.metadata, coalesce(given.columns, '{{}}'))::VARCHAR AS metadata
    )
    FROM recorded_predictions recorded LEFT JOIN given USING (clip_id)
"""


class AuditError(LmacError):
    """An audit needs something that the run does not have, or its marks cannot be read."""


class AuditedRun:
    """The windows of a run, sorted by `window_id`, and its recordings, sorted by `clip_id`.

    Arrays and columns are in the order of windows `[W]`, or of recordings `[R]` where they say so. `labels`, by
    `clip_id`, replace the run's own, also in the tables that SQL sees. A person marked the recordings `found_right` as
    right, and gave the `relabelled` ones their label: both are `labelled_by_hand`. Questions add to `notes` what they
    could not determine, and why, to `judged` how many recordings they could judge if not surely all, and to `tests`
    how many tests they made in all, where some have no finding; a long question reports its steps to `progress`.
    `columns`, by `clip_id`, replace the run's metadata of the same names, likewise; None takes one away.
    """

    def __init__(
        self,
        run: Run,
        labels: Mapping[str, Sequence[str]] | None = None,
        found_right: frozenset[str] = frozenset(),
        relabelled: frozenset[str] = frozenset(),
        columns: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        self.run = run
        self.classes = run.classes
        self.found_right, self.labelled_by_hand = found_right, found_right | relabelled
        self.tests = 0
        self.progress: Callable[[str], None] = lambda what: None
        self.notes: dict[Kind, list[str]] = defaultdict(list)
        self.judged: dict[Kind, int] = {}
        self._columns: dict[str, list[str | None]] = {}
        self.connection: duckdb.DuckDBPyConnection = run.connect()
        self.takes_other_labels = labels is not None
        if labels is not None or columns:
            self._replace(labels, columns or {})

    @cached_property
    def windows(self) -> pa.Table:
        """The table `predictions` without `probabilities` and `embedding`."""
        names = ", ".join(f'"{name}"' for name in self.run.table("predictions").schema.names if name not in _LARGE)
        return self.connection.sql(f"SELECT {names} FROM predictions ORDER BY window_id").to_arrow_table()

    @cached_property
    def window_ids(self) -> list[str]:
        """The windows' ids, ascending."""
        return [str(one) for one in self.windows["window_id"].to_pylist()]

    @cached_property
    def clip_ids(self) -> list[str]:
        """The id of each window's recording."""
        return [str(one) for one in self.windows["clip_id"].to_pylist()]

    @cached_property
    def labels(self) -> list[list[str]]:
        """The labels of each window's recording; an empty list where it has none."""
        return [list(one) for one in self.windows["label_true"].to_pylist()]

    @cached_property
    def probabilities(self) -> NDArray[np.float32]:
        """The probabilities of all classes, `[W, C]` float32."""
        return self._matrix("predictions", "probabilities")

    @cached_property
    def embeddings(self) -> NDArray[np.float32]:
        """The classifier's embeddings, `[W, D]` float32."""
        return self._matrix("predictions", "embedding")

    @cached_property
    def recordings(self) -> list[str]:
        """The ids of the recordings `[R]`, ascending."""
        return list(dict.fromkeys(self.clip_ids))

    @cached_property
    def recording_of_window(self) -> NDArray[np.int64]:
        """The index in `recordings` of each window's recording."""
        place = {clip_id: number for number, clip_id in enumerate(self.recordings)}
        return np.array([place[clip_id] for clip_id in self.clip_ids], np.int64)

    @cached_property
    def first_windows(self) -> NDArray[np.int64]:
        """The first window of each recording `[R]`."""
        return np.unique(self.recording_of_window, return_index=True)[1]

    def of_recordings(self, column: Sequence[Any]) -> list[Any]:
        """Reduce a column that is equal in all windows of a recording to recordings `[R]`."""
        return [column[first] for first in self.first_windows.tolist()]

    def member(self, recording: int, score: float, suggestion: str | None = None) -> Member:
        """Make a recording, by its index in `recordings`, a member of a finding, with its first window."""
        return Member(
            self.recordings[recording], self.window_ids[self.first_windows[recording]], float(score), suggestion
        )

    def mean_by_recording(self, values: NDArray[Any]) -> NDArray[np.float32]:
        """The mean of `[W, ...]` over the windows of each recording, `[R, ...]` float32."""
        sums = np.add.reduceat(np.asarray(values, np.float32), self.first_windows, axis=0)
        counts = np.bincount(self.recording_of_window).astype(np.float32)
        return np.asarray(sums / counts.reshape(-1, *[1] * (sums.ndim - 1)), np.float32)

    def column(self, name: str) -> list[str | None]:
        """The values `[R]` of a column of the recordings' metadata; None where a recording has none.

        Raises AuditError if no recording has such a column, or it is empty in all.
        """
        if name in self._columns:
            return self._columns[name]
        rows = self.connection.execute(
            "SELECT json_extract_string(any_value(metadata), ?) FROM predictions GROUP BY clip_id ORDER BY clip_id",
            [_pointer_to(name)],
        ).fetchall()
        found = [value or None for (value,) in rows]
        if not any(found):
            known = "SELECT DISTINCT unnest(json_keys(metadata)) AS name FROM predictions ORDER BY 1 LIMIT 50"
            names = [str(one) for (one,) in self.connection.sql(known).fetchall()]
            if name in names:
                raise AuditError(
                    f"the column {name!r} of the recordings' metadata is empty in all of them: leave it out"
                )
            raise AuditError(
                f"no recording has a column {name!r} in its metadata; there are: {', '.join(names) or 'none'}"
            )
        self._columns[name] = found
        return found

    def ask(self, name: str) -> list[dict[str, Any]]:
        """Run a question in SQL, `questions/<name>.sql`, and return its rows."""
        rows: list[dict[str, Any]] = self.connection.sql(question(name)).to_arrow_table().to_pylist()
        return rows

    def note(self, kind: Kind, text: str) -> None:
        """Record what a question could not determine."""
        self.notes[kind].append(text)

    def _replace(self, labels: Mapping[str, Sequence[str]] | None, columns: Mapping[str, Mapping[str, Any]]) -> None:
        named = list({**(labels or {}), **columns})
        given = pa.table(
            {
                "clip_id": pa.array(named, pa.string()),
                "labels": pa.array([list((labels or {}).get(one, ())) for one in named], pa.list_(pa.string())),
                "columns": pa.array([json.dumps(columns.get(one, {})) for one in named], pa.string()),
            }
        )
        self.connection.register("given", given)
        self.connection.register("recorded_predictions", self.run.table("predictions"))
        self.connection.unregister("predictions")
        taken = "recorded.label_true" if labels is None else "coalesce(given.labels, [])"
        self.connection.execute(_GIVEN.format(labels=taken))

    def _matrix(self, table: str, column: str) -> NDArray[np.float32]:
        found = self.connection.sql(f"SELECT {column} FROM {table} ORDER BY window_id").to_arrow_table()[column]
        return rows_of(found)


def _pointer_to(name: str) -> str:
    """The JSON pointer to a metadata column of any name: a JSON path in SQL takes no empty one.

    >>> _pointer_to("site"), _pointer_to("a/b"), _pointer_to("")
    ('/site', '/a~1b', '/')
    """
    return "/" + name.replace("~", "~0").replace("/", "~1")


def rows_of(column: pa.ChunkedArray) -> NDArray[np.float32]:
    """A column of lists of equal length as an array `[rows, n]` float32."""
    if not len(column):
        return np.zeros((0, 0), np.float32)
    parts = [
        chunk.flatten().to_numpy(zero_copy_only=False).reshape(len(chunk), -1) for chunk in column.chunks if len(chunk)
    ]
    return np.concatenate(parts).astype(np.float32, copy=False)
