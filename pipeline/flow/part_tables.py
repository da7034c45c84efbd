"""From a part and its explanation to the rows of the tables and the FLAC files beside them."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.audio.flac import encode_flac
from pipeline.audio.level import loudness_lufs, peak_dbfs
from pipeline.flow.parts import ErrorRow, Part, WindowRow
from schemas.explainer_config import FrontEndConfig
from schemas.tables import FAITHFULNESS, TABLES

BANDS, SPANS = 32, 50


@dataclass(frozen=True)
class ExplainedPart:
    """A part without its waveforms, and what the explainer said of it; picklable, and free of torch.

    `probabilities` and `embedding` `[W, ...]` are in the order of the part's rows. The rest has a row for each window
    and label explained: which window (`window` `[R]`), which label, `mask` `[R, F, T]` uint8, `listenables` by kind,
    `[R, n]` int16, and more `[R]`.
    """

    part: Part
    shard_uri: str
    front_end: FrontEndConfig
    labels: list[str]
    window: np.ndarray
    target_index: np.ndarray
    probabilities: np.ndarray
    embedding: np.ndarray
    mask: np.ndarray
    listenables: dict[str, np.ndarray]
    gain_db: dict[str, np.ndarray]
    scores: dict[str, np.ndarray]


@dataclass(frozen=True)
class Listenable:
    """One FLAC file: its path relative to the output, and its bytes."""

    path: str
    data: bytes


def tables_of(explained: ExplainedPart) -> tuple[dict[str, pa.Table], list[Listenable]]:
    """The part's rows for each table, sorted by clip_id and window, and its listenables.

    The labels of a window stay in the order in which they were explained.
    """
    rows = explained.part.rows
    place = [(row.clip_id, row.window_index) for row in rows]
    order = sorted(range(len(rows)), key=lambda i: place[i])
    asked = sorted(range(len(explained.window)), key=lambda r: place[explained.window[r]])
    recordings, listenables = _clips(explained, asked)
    contents: dict[str, list[dict[str, Any]]] = {
        "predictions": [_prediction(explained, i) for i in order],
        "masks": [_mask(explained, r) for r in asked],
        "faithfulness": [_faithfulness(explained, r) for r in asked],
        "recordings": recordings,
        "errors": [
            _error(explained.shard_uri, error)
            for error in sorted(explained.part.errors, key=lambda e: (e.clip_id, e.stage))
        ],
    }
    tables = {name: pa.Table.from_pylist(content, schema=TABLES[name]) for name, content in contents.items()}
    return tables, listenables


def _ids(row: WindowRow) -> dict[str, Any]:
    return {"clip_id": row.clip_id, "window_id": row.window_id}


def _label(explained: ExplainedPart, r: int) -> dict[str, Any]:
    window = explained.part.rows[explained.window[r]]
    return {**_ids(window), "label": explained.labels[explained.target_index[r]]}


def _prediction(explained: ExplainedPart, i: int) -> dict[str, Any]:
    row, front_end = explained.part.rows[i], explained.front_end
    top = int(explained.probabilities[i].argmax())
    return {
        **_ids(row),
        "shard": explained.shard_uri,
        "key": row.key,
        "window_index": row.window_index,
        "start_s": row.start_s,
        "duration_s": row.length / front_end.sample_rate,
        "unheard_s": row.unheard_s,
        "sample_rate_in": row.sample_rate_in,
        "channels_in": row.channels_in,
        "label_true": row.label_true,
        "label": explained.labels[top],
        "label_index": top,
        "probability": explained.probabilities[i, top],
        "probabilities": explained.probabilities[i],
        "embedding": explained.embedding[i],
        "level_dbfs": row.level_dbfs,
        "metadata": json.dumps(row.metadata, ensure_ascii=False, sort_keys=True),
    }


def _mask(explained: ExplainedPart, r: int) -> dict[str, Any]:
    mask, front_end = explained.mask[r], explained.front_end
    return {
        **_label(explained, r),
        "mask": mask.tobytes(),
        "n_freq": mask.shape[0],
        "n_frames": mask.shape[1],
        "hop_s": front_end.hop_s,
        "bin_hz": front_end.bin_hz,
        "mask_mean": explained.scores["mask_mean"][r],
        "energy_kept": explained.scores["energy_kept"][r],
        "band_profile": profile(mask.mean(axis=1) / 255, BANDS),
        "time_profile": profile(mask.mean(axis=0) / 255, SPANS),
    }


def _faithfulness(explained: ExplainedPart, r: int) -> dict[str, Any]:
    values = {name: explained.scores[name][r] for name in FAITHFULNESS.names if name in explained.scores}
    return {**_label(explained, r), **values}


def _clips(explained: ExplainedPart, asked: list[int]) -> tuple[list[dict[str, Any]], list[Listenable]]:
    rate = explained.front_end.sample_rate
    rows, files = [], []
    for r in asked:
        window = explained.part.rows[explained.window[r]]
        for kind, samples in explained.listenables.items():
            waveform = samples[r, : window.length].astype(np.float32) / 32768
            data = encode_flac(waveform, rate)
            digest = hashlib.sha256(data).hexdigest()
            # Of names, only digests and counters of our own go into a path.
            name = f"{window.window_id}.{explained.target_index[r]}.{kind}.{digest[:12]}.flac"
            path = f"audio/{explained.part.shard_id}/{name}"
            files.append(Listenable(path, data))
            rows.append(
                {
                    **_label(explained, r),
                    "kind": kind,
                    "uri": path,
                    "duration_s": window.length / rate,
                    "sample_rate": rate,
                    "peak_dbfs": peak_dbfs(waveform),
                    "loudness_lufs": loudness_lufs(waveform, rate),
                    "gain_db": explained.gain_db[kind][r],
                    "sha256": digest,
                }
            )
    return rows, files


def _error(shard_uri: str, error: ErrorRow) -> dict[str, Any]:
    return {"shard": shard_uri, **vars(error)}


def profile(values: np.ndarray, size: int) -> np.ndarray:
    """The mean of `values` `[n]` in each of `size` spans of equal length, `[size]` float32.

    A bin that lies across a border counts to both sides by its share; so any n will do, and the mean stays.
    """
    total = np.concatenate([[0.0], np.cumsum(values, dtype=np.float64)])
    borders = np.linspace(0, len(values), size + 1)
    return (np.diff(np.interp(borders, np.arange(len(values) + 1), total)) * size / len(values)).astype(np.float32)
