"""The bytes of masks against what their rows say of them."""

from __future__ import annotations

import numpy as np
import pyarrow.parquet as pq

from pipeline.runs.verify.findings import Findings
from pipeline.runs.verify.promise import Promise

_COLUMNS = ["window_id", "label", "mask", "n_freq", "n_frames", "hop_s", "bin_hz", "mask_mean"]
_PROFILES = {"band_profile": 32, "time_profile": 50}
# A group of rows as it is written: some megabytes.
_BATCH_ROWS = 64
# The mean of 200,000 values, and the mean of means, taken in float32.
_MEAN_SLACK = 1e-5

Shape = tuple[int, int, float, float]


def check_masks(parquet: pq.ParquetFile, promise: Promise, path: str, findings: Findings) -> set[Shape]:
    """Check a file of masks a few rows at a time; the shapes (bins, frames, s, Hz) that it has."""
    shapes: set[Shape] = set()
    for batch in parquet.iter_batches(_BATCH_ROWS, columns=[*_COLUMNS, *_PROFILES]):
        for row in batch.to_pylist():
            key, mask = f"{row['window_id']} {row['label']}", np.frombuffer(row["mask"], np.uint8)
            shapes.add((row["n_freq"], row["n_frames"], row["hop_s"], row["bin_hz"]))
            if len(mask) != row["n_freq"] * row["n_frames"]:
                message = f"{len(mask)} bytes for {row['n_freq']} bins in {row['n_frames']} frames"
                findings.add("wrong_mask", path, message, key)
                continue
            mean = float(mask.mean(dtype=np.float64)) / 255
            if abs(mean - row["mask_mean"]) > _MEAN_SLACK:
                findings.add("wrong_mask", path, f"mask_mean is {row['mask_mean']:g}, of its bytes {mean:g}", key)
            for name, size in _PROFILES.items():
                values = row[name]
                if len(values) != size:
                    findings.add("wrong_mask", path, f"{name} has {len(values)} values, not {size}", key)
                elif abs(np.mean(values) - mean) > _MEAN_SLACK:
                    findings.add("wrong_mask", path, f"{name} has the mean {np.mean(values):g}, not {mean:g}", key)
            if promise.binary and not np.isin(mask, (0, 255)).all():
                findings.add("wrong_mask", path, "the run is of binary masks, and this one is not", key)
    return shapes
