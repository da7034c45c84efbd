"""Check the bytes of masks against the draw, and against what their rows say about them."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from pipeline.runs.verify.findings import Findings
from pipeline.runs.verify.settings import Settings
from schemas.tables import TIME_SPANS

_COLUMNS = [
    *("window_id", "target", "mask", "n_freq", "n_frames", "hop_s", "bin_hz", "mask_mean"),
    *("band_profile", "time_profile"),
]
# For means of some 200,000 values, computed in float32.
_MEAN_SLACK = 1e-5
# Masks that are checked together, should a file have larger row groups than ours.
_BATCH_ROWS = 64

Shape = tuple[int, int, float, float]


def check_masks(parquet: pq.ParquetFile, settings: Settings, path: str, findings: Findings) -> tuple[int, set[Shape]]:
    """Check a file of masks, some rows at a time; returns how many it stores, and its shapes (bins, frames, s, Hz)."""
    stored, shapes = 0, set()
    for batch in parquet.iter_batches(_BATCH_ROWS, columns=_COLUMNS):
        for row in batch.to_pylist():
            stored += row["mask"] is not None
            shapes.add((row["n_freq"], row["n_frames"], row["hop_s"], row["bin_hz"]))
            key = f"{row['window_id']} {row['target']}"
            drawn = settings.masks.takes(row["window_id"])
            if drawn and row["mask"] is None:
                findings.add("missing_mask", path, f"it is drawn by --masks {settings.masks}, and not stored", key)
            elif not drawn and row["mask"] is not None:
                findings.add("stray_mask", path, f"it is stored, and not drawn by --masks {settings.masks}", key)
            for problem in _wrong(row, settings):
                findings.add("wrong_mask", path, problem, key)
    return stored, shapes


def _wrong(row: dict[str, Any], settings: Settings) -> list[str]:
    """Return what is wrong with a row, whose mask may not be stored."""
    sizes = {"band_profile": len(settings.band_edges_hz) - 1, "time_profile": TIME_SPANS}
    problems = [f"{name} has {len(row[name])} values, not {n}" for name, n in sizes.items() if len(row[name]) != n]
    if row["mask"] is None:
        mean = np.mean(row["time_profile"])
        if not problems and abs(mean - row["mask_mean"]) > _MEAN_SLACK:
            problems.append(f"mask_mean is {row['mask_mean']:g}, of its time_profile {mean:g}")
        return problems
    mask = np.frombuffer(row["mask"], np.uint8)
    if len(mask) != row["n_freq"] * row["n_frames"] or not len(mask):
        return [*problems, f"{len(mask)} bytes for {row['n_freq']} bins in {row['n_frames']} frames"]
    if settings.binary and not np.isin(mask, (0, 255)).all():
        problems.append("the run is of binary masks, and this one is not")
    mask = mask.reshape(row["n_freq"], row["n_frames"])
    mean = mask.mean(dtype=np.float64) / 255
    if abs(mean - row["mask_mean"]) > _MEAN_SLACK:
        problems.append(f"mask_mean is {row['mask_mean']:g}, of its bytes {mean:g}")
    if problems or not row["bin_hz"] > 0:
        return problems
    edges = np.array(settings.band_edges_hz)
    profiles = {
        "band_profile": (1, tuple(edges / row["bin_hz"] + 0.5)),
        "time_profile": (0, tuple(np.linspace(0, row["n_frames"], TIME_SPANS + 1))),
    }
    for name, (axis, borders) in profiles.items():
        means = mask.mean(axis=axis, dtype=np.float64) / 255
        off = np.abs(_weights(borders, len(means)) @ means - row[name])
        if (off > _MEAN_SLACK).any():
            problems.append(f"{name} is not that of its bytes: value {int(off.argmax())} is off by {off.max():g}")
    return problems


@lru_cache(maxsize=8)
def _weights(borders: tuple[float, ...], n: int) -> np.ndarray:
    """Return the weights `[spans, n]` of `n` steps of length 1 in the mean of each span between two borders."""
    edges = np.clip(borders, 0, n)
    steps = np.arange(n)
    overlap = np.minimum(edges[1:, None], steps + 1) - np.maximum(edges[:-1, None], steps)
    weights: np.ndarray = np.maximum(overlap, 0) / np.maximum(np.diff(edges), 1e-12)[:, None]
    return weights
