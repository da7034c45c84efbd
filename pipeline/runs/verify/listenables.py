"""Check listenables against the draw, and each FLAC against its row."""

from __future__ import annotations

import hashlib
import io
from bisect import insort
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import soundfile

from pipeline.audio.level import peak_dbfs
from pipeline.runs.verify.findings import Findings
from pipeline.runs.verify.settings import Settings
from schemas.draws import rank_of

_DB_SLACK = 0.01
# Rows that are checked together, should a file have larger row groups than ours.
_BATCH_ROWS = 32

# The drawn windows of each target: their ranks and names.
Lowest = dict[str, list[tuple[int, str]]]


def lowest_ranks(scores: pa.Table, count: int) -> Lowest:
    """Return the `count` windows of lowest rank for each target in a table of scores, the lowest first."""
    lowest: Lowest = {}
    for window, target in zip(scores["window_id"].to_pylist(), scores["target"].to_pylist(), strict=True):
        take_lowest(lowest, {target: [(rank_of(window), window)]}, count)
    return lowest


def take_lowest(lowest: Lowest, others: Lowest, count: int) -> None:
    """Merge other windows into the `count` of lowest rank for each target, in place."""
    for target, ranked in others.items():
        kept = lowest.setdefault(target, [])
        for item in ranked:
            if len(kept) < count or item < kept[-1]:
                insort(kept, item)
                del kept[count:]


def drawn_keys(scores: pa.Table, settings: Settings) -> set[tuple[str, ...]]:
    """Return the window, target and side of each listenable (candidate, if per target) that a part must have."""
    if settings.listen.per_target is not None:
        return with_sides(lowest_ranks(scores, settings.listen.per_target), settings)
    pairs = zip(scores["window_id"].to_pylist(), scores["target"].to_pylist(), strict=True)
    drawn = [pair for pair in pairs if settings.listen.takes(pair[0])]
    return {(*pair, side) for pair in drawn for side in settings.sides}


def with_sides(lowest: Lowest, settings: Settings) -> set[tuple[str, ...]]:
    """Return the window, target and side of each listenable of drawn windows."""
    drawn = [(window, target) for target, ranked in lowest.items() for _, window in ranked]
    return {(*pair, side) for pair in drawn for side in settings.sides}


def check_drawn(
    found: Collection[tuple[str, ...]],
    expected: Collection[tuple[str, ...]],
    settings: Settings,
    path: str,
    findings: Findings,
) -> None:
    """Check that there are rows for exactly the drawn windows, by window, target and side."""
    for key in sorted(set(expected) - set(found)):
        message = f"it is drawn by --listen {settings.listen}, and no row has it"
        findings.add("missing_listenable", path, message, " ".join(key))
    for key in sorted(set(found) - set(expected)):
        message = f"its window is not drawn by --listen {settings.listen}, or its side not written by the run"
        findings.add("stray_listenable", path, message, " ".join(key))


def check_audio(
    parquet: pq.ParquetFile, lengths: Mapping[str, float] | None, settings: Settings, path: str, findings: Findings
) -> None:
    """Check that each FLAC decodes and is what its row says, a group of rows at a time.

    `lengths` are the lengths of the windows in seconds, if known.
    """
    for batch in parquet.iter_batches(_BATCH_ROWS):
        for row in batch.to_pylist():
            key = f"{row['window_id']} {row['target']} {row['kind']}"
            length = None if lengths is None else lengths.get(row["window_id"])
            for kind, problem in _wrong(row, length, settings):
                findings.add(kind, path, problem, key)


def _wrong(row: dict[str, Any], length_s: float | None, settings: Settings) -> list[tuple[str, str]]:
    audio = row["audio"] or {"bytes": None, "path": None}
    data = audio["bytes"] or b""
    try:
        with soundfile.SoundFile(io.BytesIO(data)) as sound:
            form, rate, samples = sound.format, sound.samplerate, sound.read(dtype="float32")
    except soundfile.LibsndfileError as error:
        return [("undecodable_audio", str(error))]
    if form != "FLAC" or samples.ndim != 1 or not np.isfinite(samples).all():
        return [("undecodable_audio", f"no mono FLAC of finite samples, but {form} {samples.shape}")]
    problems = []
    if not np.isfinite(row["duration_s"]) or len(samples) != round(row["duration_s"] * rate):
        problems.append(f"{len(samples)} frames at {rate} Hz, {row['duration_s']:g} s by its row")
    if length_s is not None and abs(row["duration_s"] - length_s) > 0.5 / rate:
        problems.append(f"{row['duration_s']:g} s by its row, its window has {length_s:g} s")
    if rate != row["sample_rate"] or rate != settings.sample_rate:
        problems.append(f"{rate} Hz, {row['sample_rate']} Hz by its row, {settings.sample_rate} Hz by _run.json")
    if hashlib.sha256(data).hexdigest() != row["sha256"]:
        problems.append("its row has another SHA-256")
    if abs(peak_dbfs(samples) - row["peak_dbfs"]) > _DB_SLACK:
        problems.append(f"its peak is {peak_dbfs(samples):.2f} dBFS, {row['peak_dbfs']:.2f} by its row")
    number = settings.labels.index(row["target"]) if row["target"] in settings.labels else None
    if audio["path"] != f"{row['window_id']}.{number}.{row['kind']}.flac":
        problems.append(f"its name is {audio['path']!r}, which is not made of its row's key")
    return [("wrong_audio", problem) for problem in problems]
