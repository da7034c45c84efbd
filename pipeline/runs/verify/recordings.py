"""The recordings of a run, small enough to be held all at once: each in one place, with all its windows."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

import numpy as np
import pyarrow as pa

from pipeline.runs.verify.findings import Findings
from schemas.records import TableName

# A recording in a part: the two halves of its id, where it is, and its windows there; `first` is -1 for an error.
_CLIP = np.dtype(
    [("high", "u8"), ("low", "u8"), ("shard", "i4"), ("part", "i4"), ("first", "i4"), ("last", "i4")],
)
NO_RECORDINGS = np.zeros(0, _CLIP)
_ID = re.compile(r"[0-9a-f]{32}")


def recordings_of(
    tables: Mapping[TableName, pa.Table], paths: Mapping[TableName, str], findings: Findings
) -> np.ndarray:
    """The recordings of a part's rows; their shard and part are left to be filled in. Checks the form of ids on the way."""
    windows: dict[str, list[int]] = {}
    predictions = tables["predictions"]
    columns = (predictions[name].to_pylist() for name in ("clip_id", "window_id", "window_index"))
    for recording, window, index in zip(*columns, strict=True):
        if not _ID.fullmatch(recording) or window != f"{recording}-{index:05d}":
            findings.add("wrong_id", paths["predictions"], f"not what window {index} of {recording} is called", window)
        else:
            windows.setdefault(recording, []).append(index)
    for name in ("masks", "faithfulness", "listenables"):
        of_recording, of_window = (tables[name][column].to_pylist() for column in ("clip_id", "window_id"))
        for recording, window in zip(of_recording, of_window, strict=True):
            if window.rpartition("-")[0] != recording:
                findings.add("wrong_id", paths[name], f"no window of the recording {recording}", window)
    rows = []
    for recording, numbers in windows.items():
        numbers.sort()
        if set(range(numbers[0], numbers[-1] + 1)) - set(numbers):
            message = f"its windows in this part are {_spans(numbers)}"
            findings.add("missing_window", paths["predictions"], message, recording)
        rows.append((*_halves(recording), 0, 0, numbers[0], numbers[-1]))
    for recording in tables["errors"]["clip_id"].to_pylist():
        if _ID.fullmatch(recording):
            rows.append((*_halves(recording), 0, 0, -1, -1))
        else:
            findings.add("wrong_id", paths["errors"], "no id of a recording", recording)
    return np.array(rows, _CLIP)


def check_recordings(
    recordings: np.ndarray, places: list[str], broken: Collection[int], findings: Findings
) -> np.ndarray:
    """Check that each recording is in one place and has all windows from 0 on; return the recordings, sorted.

    `places` are the shards' names by number. Of `broken` shards parts are missing, and so may windows be.
    """
    recordings = np.sort(recordings, order=["high", "low", "first"])
    same = np.zeros(len(recordings), bool)
    same[1:] = (recordings["high"][1:] == recordings["high"][:-1]) & (recordings["low"][1:] == recordings["low"][:-1])
    known = ~np.isin(recordings["shard"], sorted(broken))
    before = np.roll(recordings, 1)
    late = known & ~same & (recordings["first"] > 0)
    apart = same & ((recordings["shard"] != before["shard"]) | ((before["first"] < 0) & (recordings["first"] < 0)))
    both = same & (before["first"] < 0) & (recordings["first"] >= 0)
    follows = same & ~both & ~apart
    twice = follows & (recordings["first"] <= before["last"])
    gap = known & follows & (recordings["first"] > before["last"] + 1)
    for i in np.flatnonzero(late | gap):
        expected = before["last"][i] + 1 if gap[i] else 0
        message = f"window {expected} is not there, but {recordings['first'][i]} is"
        findings.add("missing_window", places[recordings["shard"][i]], message, name_of(recordings[i]))
    for i in np.flatnonzero(twice):
        message = f"window {recordings['first'][i]} is in two parts"
        findings.add("doubled_row", places[recordings["shard"][i]], message, name_of(recordings[i]))
    for i in np.flatnonzero(both):
        message = "it is in predictions and in errors"
        findings.add("recording_in_both", places[recordings["shard"][i]], message, name_of(recordings[i]))
    for i in np.flatnonzero(apart):
        message = f"it is in {places[before['shard'][i]]} too"
        findings.add("doubled_recording", places[recordings["shard"][i]], message, name_of(recordings[i]))
    return recordings


def name_of(recording: np.void) -> str:
    """The id of a recording, 32 hex digits."""
    return f"{int(recording['high']):016x}{int(recording['low']):016x}"


def _halves(recording: str) -> tuple[int, int]:
    return int(recording[:16], 16), int(recording[16:], 16)


def _spans(numbers: list[int]) -> str:
    return f"{len(set(numbers))} of those from {numbers[0]} to {numbers[-1]}"
