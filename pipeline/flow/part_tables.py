"""Turn a part and its explanation into the rows of the tables, and their sums."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.audio.flac import encode_flac
from pipeline.audio.level import loudness_lufs, peak_dbfs
from pipeline.audio.pcm import from_pcm
from pipeline.flow.parts import ErrorRow, Part, WindowRow
from pipeline.runs.profiles import band_edges_hz, band_profile, time_profile
from pipeline.trace import span
from schemas.draws import Draw, rank_of
from schemas.explainer_config import FrontEndConfig
from schemas.records import Sums, TableName, TargetSums
from schemas.tables import FAITHFULNESS, TABLES

_SCORES = FAITHFULNESS.names[3:]
_SUMMED = tuple(name for name in TargetSums.model_fields if name != "windows")


@dataclass(frozen=True)
class ExplainedPart:
    """A part without its waveforms, and its explanation; picklable, and free of torch.

    `probabilities` and `embedding` `[W, ...]` are in the order of the part's rows. The rest has a row for each window
    and target: which window (`window` `[R]`), which class (`target_index` `[R]`), the mask's sums in 255ths, `by_freq`
    `[R, F]` and `by_frame` `[R, T]`, and `scores` `[R]`, NaN where the written audio was not classified. The stored
    masks, `mask` `[M, F, T]` uint8, belong to the rows `masked` `[M]`. By kind, `listenables` `[L, n]` int16 and
    `gain_db` `[L]` belong to the rows `listened` `[L]`. If listenables are drawn per target, `drawn` names, by target,
    the windows that may get one; it is None where `listened` is final. `batch_size` windows were explained at once, on
    `device`, `cpu` or `cuda`, by networks that were `compiled` or not.
    """

    part: Part
    shard_uri: str
    front_end: FrontEndConfig
    labels: list[str]
    window: np.ndarray
    target_index: np.ndarray
    probabilities: np.ndarray
    embedding: np.ndarray
    by_freq: np.ndarray
    by_frame: np.ndarray
    masked: np.ndarray
    mask: np.ndarray
    listened: np.ndarray
    listenables: dict[str, np.ndarray]
    gain_db: dict[str, np.ndarray]
    scores: dict[str, np.ndarray]
    drawn: dict[str, list[str]] | None = None
    batch_size: int = 0
    device: str = ""
    compiled: bool = False

    @classmethod
    def without_windows(cls, part: Part, shard_uri: str, front_end: FrontEndConfig, labels: list[str]) -> ExplainedPart:
        """A part in which no recording could be used, or none was left."""
        none, rows = np.zeros(0), np.zeros(0, np.int64)
        return cls(
            part=part,
            shard_uri=shard_uri,
            front_end=front_end,
            labels=labels,
            window=rows,
            target_index=rows,
            probabilities=none,
            embedding=none,
            by_freq=none,
            by_frame=none,
            masked=rows,
            mask=none,
            listened=rows,
            listenables={},
            gain_db={},
            scores={},
        )

    def window_of(self, r: int) -> WindowRow:
        """The window of row r."""
        return self.part.rows[self.window[r]]

    def target_of(self, r: int) -> str:
        """The target of row r."""
        return self.labels[self.target_index[r]]


def draw_rows(
    draw: Draw, window_ids: Collection[str], targets: Collection[str]
) -> tuple[np.ndarray, dict[str, list[str]] | None]:
    """Return which rows `[L]` of a part get listenables, by the window and the target of each row.

    If the draw is per target, these are the part's candidates: the windows of each target with the lowest ranks, among
    which the run's final choice lies. They are then returned by target as well.
    """
    if draw.per_target is None:
        return np.array([r for r, window_id in enumerate(window_ids) if draw.takes(window_id)], np.int64), None
    rows: dict[str, list[tuple[int, int, str]]] = {}
    for r, (window_id, target) in enumerate(zip(window_ids, targets, strict=True)):
        rows.setdefault(target, []).append((rank_of(window_id), r, window_id))
    lowest = {target: sorted(found)[: draw.per_target] for target, found in sorted(rows.items())}
    chosen = sorted(r for found in lowest.values() for _, r, _ in found)
    return np.array(chosen, np.int64), {target: [name for *_, name in found] for target, found in lowest.items()}


def tables_of(explained: ExplainedPart) -> dict[TableName, pa.Table]:
    """The part's rows for each table, sorted by clip_id and window.

    The targets of a window stay in the order in which they were explained.
    """
    rows = explained.part.rows
    place = [(row.clip_id, row.window_index) for row in rows]
    order = sorted(range(len(rows)), key=lambda i: place[i])
    by_target = sorted(range(len(explained.window)), key=lambda r: place[explained.window[r]])
    listened = sorted(range(len(explained.listened)), key=lambda i: place[explained.window[explained.listened[i]]])
    edges = band_edges_hz(explained.front_end)
    stored = {int(r): m for m, r in enumerate(explained.masked)}
    contents: dict[TableName, list[dict[str, Any]]] = {
        "predictions": [_prediction(explained, i) for i in order],
        "masks": [_mask(explained, r, stored.get(r), edges) for r in by_target],
        "faithfulness": [_faithfulness(explained, r) for r in by_target],
        "listenables": [_listenable(explained, i, kind) for i in listened for kind in explained.listenables],
        "errors": [
            _error(explained.shard_uri, error)
            for error in sorted(explained.part.errors, key=lambda e: (e.clip_id, e.stage))
        ],
    }
    tables = {name: pa.Table.from_pylist(content, schema=TABLES[name]) for name, content in contents.items()}
    tables["masks"] = tables["masks"].replace_schema_metadata(with_edges(edges))
    return tables


def with_edges(edges_hz: np.ndarray) -> dict[bytes, bytes]:
    """The metadata of the table of masks, with the edges of its bands."""
    return {**TABLES["masks"].metadata, b"band_edges_hz": json.dumps(edges_hz.tolist()).encode()}


def sums_of(explained: ExplainedPart) -> Sums:
    """Return the sums that a summary needs from a part."""
    targets = {}
    names = np.array([explained.target_of(r) for r in range(len(explained.window))])
    for target in sorted(set(names.tolist())):
        of_target = names == target
        sums = {name: float(explained.scores[name][of_target].sum(dtype=np.float64)) for name in _SUMMED}
        targets[target] = TargetSums(windows=int(of_target.sum()), **sums)
    decided = explained.probabilities.argmax(axis=1) if len(explained.part.rows) else []
    classes = set(explained.labels)
    known = [(row.label_true, i) for i, row in enumerate(explained.part.rows) if classes.intersection(row.label_true)]
    return Sums(
        targets=targets,
        reasons=dict(Counter(error.reason for error in explained.part.errors)),
        labelled=len(known),
        hits=sum(explained.labels[decided[i]] in labels for labels, i in known),
        left_out=dict(sorted(explained.part.left_out.items())),
    )


def _ids(row: WindowRow) -> dict[str, Any]:
    return {"clip_id": row.clip_id, "window_id": row.window_id}


def _target(explained: ExplainedPart, r: int) -> dict[str, Any]:
    return {**_ids(explained.window_of(r)), "target": explained.target_of(r)}


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
        "channel": row.channel,
        "damaged": row.damaged,
        "label_true": list(row.label_true),
        "label": explained.labels[top],
        "label_index": top,
        "probability": explained.probabilities[i, top],
        "probabilities": explained.probabilities[i],
        "embedding": explained.embedding[i],
        **vars(row.signal),
        "metadata": json.dumps(row.metadata, ensure_ascii=False, sort_keys=True),
    }


def _mask(explained: ExplainedPart, r: int, stored: int | None, edges_hz: np.ndarray) -> dict[str, Any]:
    front_end, by_freq, by_frame = explained.front_end, explained.by_freq[r], explained.by_frame[r]
    n_freq, n_frames = len(by_freq), len(by_frame)
    return {
        **_target(explained, r),
        "mask": None if stored is None else explained.mask[stored].tobytes(),
        "n_freq": n_freq,
        "n_frames": n_frames,
        "hop_s": front_end.hop_s,
        "bin_hz": front_end.bin_hz,
        "mask_mean": explained.scores["mask_mean"][r],
        "energy_kept": explained.scores["energy_kept"][r],
        "band_profile": band_profile(by_freq / n_frames, edges_hz, front_end.bin_hz) / 255,
        "time_profile": time_profile(by_frame / n_freq) / 255,
    }


def _faithfulness(explained: ExplainedPart, r: int) -> dict[str, Any]:
    scores = explained.scores
    # pyarrow would keep NaN; what was not measured is null.
    values = {name: None if np.isnan(scores[name][r]) else scores[name][r] for name in _SCORES}
    return {**_target(explained, r), **values}


def _listenable(explained: ExplainedPart, i: int, kind: str) -> dict[str, Any]:
    r, rate = int(explained.listened[i]), explained.front_end.sample_rate
    window = explained.window_of(r)
    waveform = from_pcm(explained.listenables[kind][i, : window.length])
    with span("FLAC"):
        data = encode_flac(waveform, rate)
    return {
        **_target(explained, r),
        "kind": kind,
        "duration_s": window.length / rate,
        "sample_rate": rate,
        "peak_dbfs": peak_dbfs(waveform),
        "loudness_lufs": loudness_lufs(waveform, rate),
        "gain_db": explained.gain_db[kind][i],
        "sha256": hashlib.sha256(data).hexdigest(),
        # Made of digests and counters alone, so that no name of the input becomes a path unchecked.
        "audio": {"bytes": data, "path": f"{window.window_id}.{explained.target_index[r]}.{kind}.flac"},
    }


def _error(shard_uri: str, error: ErrorRow) -> dict[str, Any]:
    return {"shard": shard_uri, **vars(error)}
