"""The windows of a run that are searched for duplicates: their recording, their place, and whether they hold sound."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.audit.audited import AuditedRun

# A recording is a file: its channels and segments are clips of their own, but no copies of each other.
_WINDOWS = """
    SELECT
        window_id, clip_id, start_s, duration_s,
        dense_rank() OVER (ORDER BY shard, key) - 1 AS recording,
        dense_rank() OVER (ORDER BY clip_id) - 1 AS clip,
        dense_rank() OVER (ORDER BY sound_sha256) - 1 AS sound,
        silence < 1 AND duration_s >= 0.1 AND abs(dc_offset) < 0.99 * pow(10, level_dbfs / 20) AS heard
    FROM predictions ORDER BY window_id
"""
_RECORDINGS = """
    SELECT CASE WHEN shard = '' THEN key ELSE shard || '/' || key END AS name
    FROM predictions GROUP BY shard, key ORDER BY shard, key
"""


@dataclass(frozen=True)
class RecordedWindows:
    """Windows `[W]` sorted by `window_id`, and recordings `[R]` sorted by shard and key.

    `recording` and `clip` number the recording and clip of a window, `sound` its samples: equal numbers mean equal
    samples. `heard` is False where a window holds no sound that could repeat another. Times are in seconds from the
    recording's beginning. `names` are the recordings' keys, prefixed with their shard if they have one; `splits` are
    their values in the split's column, None without one; `labels` are their sorted labels.
    """

    window_ids: list[str]
    clip_ids: list[str]
    start_s: NDArray[np.float64]
    duration_s: NDArray[np.float64]
    recording: NDArray[np.int64]
    clip: NDArray[np.int64]
    sound: NDArray[np.int64]
    heard: NDArray[np.bool_]
    names: list[str]
    splits: list[str | None]
    labels: list[tuple[str, ...]]

    @classmethod
    def of(cls, audited: AuditedRun, split: str | None) -> RecordedWindows:
        """The windows of a run, and the recordings' values of the metadata column `split`.

        Raises AuditError if no recording has that column.
        """
        table = audited.connection.sql(_WINDOWS).to_arrow_table()
        recording = table["recording"].to_numpy().astype(np.int64)
        clip = table["clip"].to_numpy().astype(np.int64)
        names = [str(name) for (name,) in audited.connection.sql(_RECORDINGS).fetchall()]
        found: list[set[str]] = [set() for _ in names]
        for number, labels in zip(recording.tolist(), audited.labels, strict=True):
            found[number].update(labels)
        splits: list[str | None] = [None] * len(names)
        if split is not None:
            for number, part in zip(recording[audited.first_windows].tolist(), audited.column(split), strict=True):
                splits[number] = min(filter(None, (splits[number], part)), default=None)
        return cls(
            window_ids=table["window_id"].to_pylist(),
            clip_ids=table["clip_id"].to_pylist(),
            start_s=table["start_s"].to_numpy(),
            duration_s=table["duration_s"].to_numpy(),
            recording=recording,
            clip=clip,
            sound=table["sound"].to_numpy().astype(np.int64),
            heard=table["heard"].to_numpy(),
            names=names,
            splits=splits,
            labels=[tuple(sorted(one)) for one in found],
        )

    def distinct(self) -> NDArray[np.int64]:
        """The `heard` windows, only the first of each sound: further ones would crowd out near copies."""
        heard = np.flatnonzero(self.heard)
        return heard[np.sort(np.unique(self.sound[heard], return_index=True)[1])]
