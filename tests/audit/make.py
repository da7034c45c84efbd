"""Runs whose tables say what a test wants them to say, written without any sound."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.flow.finalize import finalize
from pipeline.inputs.shards import Shard, clip_id, window_id
from pipeline.runs.output import RunOutput
from schemas.records import CommitRecord, Cursor, RunRecord
from schemas.tables import TABLES

CLASSES = ("bark", "rain", "siren")
EDGES_HZ = tuple(np.geomspace(50, 8000, 33).tolist())
_PLAIN = {
    **{"shard": "", "window_index": 0, "start_s": 0.0, "duration_s": 1.0, "unheard_s": 0.0, "sample_rate_in": 16_000},
    **{"channels_in": 1, "channel": None, "damaged": False, "level_dbfs": -20.0, "clipped": 0.0, "dc_offset": 0.0},
    **{"silence": 0.0, "dropout_s": 0.0, "bandwidth_hz": 8000.0, "noise_floor_dbfs": -60.0},
    **{"band_levels_dbfs": [-40.0] * 32, "probability": 0.9, "probabilities": [0.9, 0.05, 0.05]},
    **{"embedding": [1.0, 0.0], "label": "bark", "label_index": 0, "label_true": [], "metadata": {}},
}
_SCORES = [name for name in TABLES["faithfulness"].names if name not in ("clip_id", "window_id", "target")]


def window(key: str, index: int = 0, **columns: Any) -> dict[str, Any]:
    """A row of `predictions`, of a plain and sound window of 1 s unless the columns say otherwise."""
    identity = clip_id(key)
    row = {**_PLAIN, "clip_id": identity, "window_id": window_id(identity, index), "key": key, "window_index": index}
    row |= {"start_s": float(index), "sound_sha256": f"{key}-{index}", **columns}
    return {**row, "metadata": json.dumps(row["metadata"])}


def explanation(key: str, target: str = "bark", index: int = 0, **scores: Any) -> dict[str, Any]:
    """A row of `faithfulness`, of an explanation that can be trusted unless the scores say otherwise."""
    identity = clip_id(key)
    row = {name: None if name.endswith("_audio") else 0.0 for name in _SCORES}
    row |= {"p": 0.9, "p_in": 0.9, "p_out": 0.05, "ff": 0.85}
    return {"clip_id": identity, "window_id": window_id(identity, index), "target": target, **row, **scores}


def mask(key: str, target: str = "bark", index: int = 0) -> dict[str, Any]:
    """A row of `masks`, of a mask that was not stored."""
    identity = clip_id(key)
    row: dict[str, Any] = {"clip_id": identity, "window_id": window_id(identity, index), "target": target, "mask": None}
    row |= {"n_freq": 257, "n_frames": 63, "hop_s": 0.016, "bin_hz": 31.25, "mask_mean": 0.1, "energy_kept": 0.5}
    return {**row, "band_profile": [0.1] * 32, "time_profile": [0.1] * 50}


def made_run(
    url: str | Path,
    windows: Sequence[Mapping[str, Any]],
    explanations: Sequence[Mapping[str, Any]] = (),
    masks: Sequence[Mapping[str, Any]] = (),
    classes: Sequence[str] = CLASSES,
) -> str:
    """Write a finished run of one part with these rows, in no order, and return its URL."""
    output = RunOutput(str(url))
    explainer = {"name": "made", "digest": "0" * 64, "labels": list(classes), "sample_rate": 16_000}
    explainer |= {"mask_domain": "magnitude", "band_edges_hz": list(EDGES_HZ)}
    config = {"channel": "mix", "masks": "none", "listen": "none"}
    output.write_run_record(
        RunRecord(lmac_version="0", input_digest="0", shards=1, config=config, explainer=explainer, packages={})
    )
    rows = {"predictions": windows, "faithfulness": explanations, "masks": masks}
    files = [
        output.write_table(name, "made", pa.Table.from_pylist([dict(row) for row in found], schema=TABLES[name]))  # type: ignore[arg-type]
        for name, found in rows.items()
        if found
    ]
    clips = len({row["clip_id"] for row in windows})
    output.commit(
        CommitRecord(
            shard_id="made",
            part=0,
            windows=len(windows),
            recordings=clips,
            errors=0,
            files=files,
            next=Cursor(),
            share=1.0,
            last=True,
        )
    )
    finalize(output, [Shard("made", "files", "", 0)], [])
    return str(url)
