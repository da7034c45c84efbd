"""Check the recordings of a run: each is in one place, with all its windows."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from pipeline.runs.verify.findings import Findings
from schemas.records import TableName

# A recording in a part: the 16 bytes of its id, and its windows there; `first` is -1 for an error. `damaged` says that
# the last of these windows is flagged as damaged, or that the error's recording is heard in part.
_RECORDING = np.dtype([("id", "S16"), ("first", "i4"), ("last", "i4"), ("damaged", "?")])
NO_RECORDINGS = np.zeros(0, _RECORDING)
_ID = re.compile(r"[0-9a-f]{32}")


def recordings_of(
    tables: Mapping[TableName, pa.Table], paths: Mapping[TableName, str], findings: Findings
) -> np.ndarray:
    """Return the recordings of a part's rows, and check the form of their ids."""
    windows: dict[str, list[int]] = {}
    damaged: dict[tuple[str, int], bool] = {}
    predictions = tables["predictions"]
    columns = (predictions[name].to_pylist() for name in ("clip_id", "window_id", "window_index", "damaged"))
    for recording, window, index, flag in zip(*columns, strict=True):
        if not _ID.fullmatch(recording) or window != f"{recording}-{index:05d}":
            findings.add("wrong_id", paths["predictions"], f"not what window {index} of {recording} is called", window)
        else:
            windows.setdefault(recording, []).append(index)
            damaged[recording, index] = flag
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
        rows.append((bytes.fromhex(recording), numbers[0], numbers[-1], damaged[recording, numbers[-1]]))
    errors = tables["errors"]
    for recording, heard in zip(errors["clip_id"].to_pylist(), errors["heard_s"].to_pylist(), strict=True):
        if _ID.fullmatch(recording):
            rows.append((bytes.fromhex(recording), -1, -1, heard > 0))
        else:
            findings.add("wrong_id", paths["errors"], "no id of a recording", recording)
    return np.array(rows, _RECORDING)


def check_recordings(recordings: np.ndarray, shard_id: str, broken: bool, findings: Findings) -> np.ndarray:
    """Check that each recording of a shard is there once, with all windows from 0 on; returns their ids `[n]`, sorted.

    A recording that is heard in part is in predictions and in errors. A `broken` shard lacks parts, and so may lack
    windows.
    """
    recordings = np.sort(recordings, order=["id", "first"])
    before = np.roll(recordings, 1)
    same = recordings["id"] == before["id"]
    same[:1] = False
    failed = same & (before["first"] < 0)
    follows = same & ~failed
    # Each recording's last row has its last windows.
    error, ends = recordings["first"] < 0, np.roll(~same, -1)
    partly = np.isin(recordings["id"], recordings["id"][error & recordings["damaged"]])
    unheard = np.isin(recordings["id"], recordings["id"][error & ~recordings["damaged"]])
    flagged = ends & ~error & recordings["damaged"]
    found = {
        "doubled_recording": (failed & error, "it is in errors twice"),
        "recording_in_both": (~error & unheard & ends, "it is in predictions, and in errors as one that is not heard"),
        "doubled_row": (follows & (recordings["first"] <= before["last"]), "one of its windows is in two parts"),
    }
    if not broken:
        found |= {
            "missing_error": (flagged & ~partly & ~unheard, "its windows are flagged damaged, and errors lack it"),
            "unflagged_damage": (ends & ~error & partly & ~flagged, "errors have it, and it is not flagged damaged"),
            "missing_window": (ends & error & recordings["damaged"], "it is heard in part by errors, without windows"),
        }
    for kind, (where, message) in found.items():
        for recording in recordings[where]:
            findings.add(kind, shard_id, message, name_of(recording["id"]))
    expected = np.where(follows, before["last"] + 1, 0)
    late = ~error & (recordings["first"] > expected)
    for recording, window in zip(recordings[late], expected[late], strict=True):
        if not broken:
            message = f"window {window} is not there, but {recording['first']} is"
            findings.add("missing_window", shard_id, message, name_of(recording["id"]))
    return np.unique(recordings["id"])


class SeenRecordings:
    """The ids of all recordings so far, 16 bytes each, to find recordings that are in two shards."""

    def __init__(self) -> None:
        self._ids = bytearray()
        self._shards: list[str] = []
        self._starts: list[int] = []

    def add(self, shard_id: str, ids: np.ndarray) -> None:
        """Add the recordings of a shard."""
        self._shards.append(shard_id)
        self._starts.append(len(self._ids) // 16)
        self._ids += ids.tobytes()

    def check(self, findings: Findings) -> None:
        """Check that no recording is in two shards."""
        ids = np.frombuffer(self._ids, "S16")
        ordered = np.sort(ids)
        doubled = np.unique(ordered[1:][ordered[1:] == ordered[:-1]])
        del ordered
        first: dict[bytes, str] = {}
        for place in np.flatnonzero(np.isin(ids, doubled)) if len(doubled) else ():
            shard_id = self._shards[bisect_right(self._starts, place) - 1]
            other = first.setdefault(ids[place], shard_id)
            if other != shard_id:
                findings.add("doubled_recording", shard_id, f"it is in {other} too", name_of(ids[place]))


def name_of(identity: bytes) -> str:
    """Return the id of a recording as 32 hex digits."""
    return identity.ljust(16, b"\0").hex()  # numpy drops the zeros at the end


def _spans(numbers: list[int]) -> str:
    return f"{len(set(numbers))} of those from {numbers[0]} to {numbers[-1]}"
