"""The clips of a run, small enough to be held all at once: each in one place, with all its windows."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

import numpy as np
import pyarrow as pa

from pipeline.proof.findings import Findings
from schemas.records import TableName

# A clip in a part: the two halves of its id, where it is, and its windows there; `first` is -1 for an error.
_CLIP = np.dtype(
    [("high", "u8"), ("low", "u8"), ("shard", "i4"), ("part", "i4"), ("first", "i4"), ("last", "i4")],
)
NO_CLIPS = np.zeros(0, _CLIP)
_ID = re.compile(r"[0-9a-f]{32}")


def clips_of(tables: Mapping[TableName, pa.Table], paths: Mapping[TableName, str], findings: Findings) -> np.ndarray:
    """The clips of a part's rows; their shard and part are left to be filled in. Checks the form of ids on the way."""
    windows: dict[str, list[int]] = {}
    predictions = tables["predictions"]
    columns = (predictions[name].to_pylist() for name in ("clip_id", "window_id", "window_index"))
    for clip, window, index in zip(*columns, strict=True):
        if not _ID.fullmatch(clip) or window != f"{clip}-{index:05d}":
            findings.add("wrong_id", paths["predictions"], f"not what window {index} of {clip} is called", window)
        else:
            windows.setdefault(clip, []).append(index)
    for name in ("masks", "faithfulness", "clips"):
        of_clip, of_window = (tables[name][column].to_pylist() for column in ("clip_id", "window_id"))
        for clip, window in zip(of_clip, of_window, strict=True):
            if window.rpartition("-")[0] != clip:
                findings.add("wrong_id", paths[name], f"no window of the clip {clip}", window)
    rows = []
    for clip, numbers in windows.items():
        numbers.sort()
        if set(range(numbers[0], numbers[-1] + 1)) - set(numbers):
            message = f"its windows in this part are {_spans(numbers)}"
            findings.add("missing_window", paths["predictions"], message, clip)
        rows.append((*_halves(clip), 0, 0, numbers[0], numbers[-1]))
    for clip in tables["errors"]["clip_id"].to_pylist():
        if _ID.fullmatch(clip):
            rows.append((*_halves(clip), 0, 0, -1, -1))
        else:
            findings.add("wrong_id", paths["errors"], "no id of a clip", clip)
    return np.array(rows, _CLIP)


def check_clips(clips: np.ndarray, places: list[str], broken: Collection[int], findings: Findings) -> np.ndarray:
    """Check that each clip is in one place and has all windows from 0 on; return the clips, sorted.

    `places` are the shards' names by number. Of `broken` shards parts are missing, and so may windows be.
    """
    clips = np.sort(clips, order=["high", "low", "first"])
    same = np.zeros(len(clips), bool)
    same[1:] = (clips["high"][1:] == clips["high"][:-1]) & (clips["low"][1:] == clips["low"][:-1])
    known = ~np.isin(clips["shard"], sorted(broken))
    before = np.roll(clips, 1)
    late = known & ~same & (clips["first"] > 0)
    apart = same & ((clips["shard"] != before["shard"]) | ((before["first"] < 0) & (clips["first"] < 0)))
    both = same & (before["first"] < 0) & (clips["first"] >= 0)
    follows = same & ~both & ~apart
    twice = follows & (clips["first"] <= before["last"])
    gap = known & follows & (clips["first"] > before["last"] + 1)
    for i in np.flatnonzero(late | gap):
        expected = before["last"][i] + 1 if gap[i] else 0
        message = f"window {expected} is not there, but {clips['first'][i]} is"
        findings.add("missing_window", places[clips["shard"][i]], message, name_of(clips[i]))
    for i in np.flatnonzero(twice):
        message = f"window {clips['first'][i]} is in two parts"
        findings.add("doubled_row", places[clips["shard"][i]], message, name_of(clips[i]))
    for i in np.flatnonzero(both):
        message = "it is in predictions and in errors"
        findings.add("clip_in_both", places[clips["shard"][i]], message, name_of(clips[i]))
    for i in np.flatnonzero(apart):
        message = f"it is in {places[before['shard'][i]]} too"
        findings.add("doubled_clip", places[clips["shard"][i]], message, name_of(clips[i]))
    return clips


def name_of(clip: np.void) -> str:
    """The id of a clip, 32 hex digits."""
    return f"{int(clip['high']):016x}{int(clip['low']):016x}"


def _halves(clip: str) -> tuple[int, int]:
    return int(clip[:16], 16), int(clip[16:], 16)


def _spans(numbers: list[int]) -> str:
    return f"{len(set(numbers))} of those from {numbers[0]} to {numbers[-1]}"
