"""Check every value of a table by itself: that it is finite, in its range, or one of its words."""

from __future__ import annotations

import json
from math import inf

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.runs.verify.findings import Findings
from schemas.records import TableName
from schemas.run_config import SIDES

KEYS: dict[TableName, tuple[str, ...]] = {
    "predictions": ("window_id",),
    "masks": ("window_id", "target"),
    "faithfulness": ("window_id", "target"),
    "listenables": ("window_id", "target", "kind"),
    "errors": ("clip_id",),
}
# In float32, a share or a percentage may exceed its range by this fraction of it.
_SLACK = 1e-5
_SHARE, _PERCENT, _SIGNED, _COUNT, _LENGTH = (0.0, 1.0), (0.0, 100.0), (-1.0, 1.0), (1, inf), (0.0, inf)
_LEVEL = (-120.0, inf)
RANGES: dict[TableName, dict[str, tuple[float, float]]] = {
    "predictions": {
        "window_index": (0, inf),
        "start_s": _LENGTH,
        "duration_s": _LENGTH,
        "unheard_s": _LENGTH,
        "sample_rate_in": _COUNT,
        "channels_in": _COUNT,
        "label_index": (0, inf),
        "probability": _SHARE,
        "probabilities": _SHARE,
        "level_dbfs": _LEVEL,
        "clipped": _SHARE,
        "silence": _SHARE,
        "dropout_s": _LENGTH,
        "bandwidth_hz": _LENGTH,
        "noise_floor_dbfs": _LEVEL,
        "band_levels_dbfs": _LEVEL,
    },
    "masks": {
        "n_freq": _COUNT,
        "n_frames": _COUNT,
        "hop_s": _LENGTH,
        "bin_hz": _LENGTH,
        "mask_mean": _SHARE,
        "energy_kept": _SHARE,
        "band_profile": _SHARE,
        "time_profile": _SHARE,
    },
    "faithfulness": {
        **dict.fromkeys(("p", "p_in", "p_out", "p_in_audio", "p_out_audio", "mask_mean", "energy_kept"), _SHARE),
        **dict.fromkeys(("sps",), _SHARE),
        **dict.fromkeys(("ad", "ag", "ad_double_softmax", "ad_audio", "ag_audio"), _PERCENT),
        **dict.fromkeys(("ff", "ff_audio"), _SIGNED),
        "comp": (0.0, inf),
    },
    "listenables": {
        "duration_s": _LENGTH,
        "sample_rate": _COUNT,
        "peak_dbfs": (-120.0, 0.0),
        "gain_db": (-inf, 0.0),
    },
    "errors": {"size_bytes": (0, inf)},
}
ONE_OF: dict[TableName, dict[str, tuple[object, ...]]] = {
    "faithfulness": {
        **dict.fromkeys(("ai", "ai_audio"), (0.0, 100.0)),
        **dict.fromkeys(("fid_in", "keep", "fid_in_audio", "keep_audio"), (0.0, 1.0)),
    },
    "listenables": {"kind": SIDES},
    "errors": {"stage": ("read", "decode")},
}


def keys_of(table: pa.Table, name: TableName) -> list[tuple[str, ...]]:
    """Return the key of each row of a table: a tuple of words."""
    return list(zip(*(table[column].to_pylist() for column in KEYS[name]), strict=True))


def check_values(table: pa.Table, name: TableName, path: str, findings: Findings) -> None:
    """Check each row of a table's file by itself, and that no key occurs twice."""
    keys = keys_of(table, name)
    seen: set[tuple[str, ...]] = set()
    for key in keys:
        if key in seen:
            findings.add("doubled_row", path, "its key is there twice", " ".join(key))
        seen.add(key)
    for column in table.column_names:
        values, row_of = _numbers(table, column)
        if values is None:
            continue
        low, high = RANGES[name].get(column, (-inf, inf))
        room = _SLACK * (high - low) if np.isfinite([low, high]).all() else 0.0
        for row in dict.fromkeys(row_of[~np.isfinite(values)].tolist()):
            findings.add("not_finite", path, f"{column} is NaN or infinite", " ".join(keys[row]))
        outside = np.isfinite(values) & ((values < low - room) | (values > high + room))
        for place in np.flatnonzero(outside):
            message = f"{column} is {values[place]:g}, outside {low:g} to {high:g}"
            findings.add("out_of_range", path, message, " ".join(keys[row_of[place]]))
    for column, words in ONE_OF.get(name, {}).items():
        for row, value in enumerate(table[column].to_pylist()):
            # Nulls, for audio that was not classified, are checked against the draw elsewhere.
            if value is not None and value not in words and value == value:
                message = f"{column} is {value!r}, not one of {', '.join(map(str, words))}"
                findings.add("out_of_range", path, message, " ".join(keys[row]))
    if name == "predictions":
        for key, text in zip(keys, table["metadata"].to_pylist(), strict=True):
            if not _is_object(text):
                findings.add("out_of_range", path, "metadata is no JSON object", " ".join(key))


def _numbers(table: pa.Table, column: str) -> tuple[np.ndarray | None, np.ndarray]:
    """Return the numbers of a column, or in its lists, and the row of each; None for words. Nulls are left out."""
    array = table[column].combine_chunks()
    if isinstance(array, pa.ChunkedArray):  # an empty table has no chunk to be combined
        array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], array.type)
    if pa.types.is_list(array.type) and pa.types.is_floating(array.type.value_type):
        return array.flatten().to_numpy(zero_copy_only=False), pc.list_parent_indices(array).to_numpy()
    if not (pa.types.is_floating(array.type) or pa.types.is_integer(array.type)):
        return None, np.zeros(0, int)
    there = array.is_valid().to_numpy(zero_copy_only=False)
    return array.drop_null().to_numpy(zero_copy_only=False), np.flatnonzero(there)


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False
