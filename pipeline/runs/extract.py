"""Listenables of a run as FLAC files under names that a person can read, and a table of them."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import duckdb
import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.audio.decode import decode
from pipeline.audio.flac import encode_flac
from pipeline.inputs.listing import list_input
from pipeline.inputs.readers import find_recordings
from pipeline.runs.run import Listenable, Run
from pipeline.storage.file_names import explanation_name
from schemas.errors import LmacError

KINDS = ("masked_in", "masked_out", "original")
TABLE = "extracted.csv"
_COLUMNS = ("clip_id", "window_id", "target", "key", "shard", "start_s", "duration_s", "label", "label_true", "p", "ff")
_SIDES = ("masked_in", "masked_out")


class ExtractError(LmacError):
    """What was asked for cannot be extracted."""


@dataclass(frozen=True)
class Extracted:
    """One FLAC file: where it is, which side of which explanation, and that explanation's row."""

    path: Path
    kind: str
    row: dict[str, Any]


def extract(
    run: Run,
    out: Path,
    *,
    where: str | None = None,
    limit: int | None = None,
    kinds: Sequence[str] = ("masked_in",),
    input_url: str | None = None,
) -> list[Extracted]:
    """Write FLAC files of a run into the folder `out`, and the table `extracted.csv` beside them.

    `where` is a condition in SQL over the view `explanations` (predictions, faithfulness and profiles joined), `limit`
    the number of explanations. `original` is the window as it was recorded: the sum of both sides where the run has
    both and its masks multiply the magnitude, else read again from `input_url`.
    Raises ExtractError where a kind is unknown, the condition is no SQL, nothing fits it, or an original cannot be had.

    >>> from lmac import extract, open_run
    >>> files = extract(open_run("explained"), Path("listen"), limit=3, kinds=("masked_in", "original"))
    >>> len(files), files[0].kind
    (6, 'masked_in')
    """
    if unknown := sorted(set(kinds) - set(KINDS)):
        raise ExtractError(f"there is no sound of the kind {unknown[0]!r}: choose from {', '.join(KINDS)}")
    rows = _explanations(run, where, limit)
    sides = _listenables(run, rows)
    originals = _originals(run, rows, sides, input_url) if "original" in kinds else None
    out.mkdir(parents=True, exist_ok=True)
    written: list[Extracted] = []
    for number, row in enumerate(rows, start=1):
        for kind in kinds:
            if kind == "original":
                assert originals is not None
                data = encode_flac(originals(row), run.record.explainer["sample_rate"])
            elif (row["window_id"], row["target"], kind) in sides:
                data = sides[row["window_id"], row["target"], kind].flac
            else:
                continue  # it was not drawn
            stem = explanation_name(number, row["target"], PurePosixPath(row["key"]).stem, row["start_s"])
            path = out / f"{stem}-{kind}.flac"
            path.write_bytes(data)
            written.append(Extracted(path, kind, row))
    if not written:
        raise ExtractError(
            f"none of the {len(rows)} explanations has a listenable of the kind {' or '.join(kinds)}: the run was made "
            f"with --listenables {' and '.join(run.record.config['listenables']) or 'none'} and --listen "
            f"{run.record.config['listen']}"
        )
    with (out / TABLE).open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["file", "kind", *_COLUMNS])
        table.writerows([one.path.name, one.kind, *(one.row[name] for name in _COLUMNS)] for one in written)
    return written


def _explanations(run: Run, where: str | None, limit: int | None) -> list[dict[str, Any]]:
    query = f"SELECT {', '.join(_COLUMNS)} FROM explanations"
    query += f" WHERE {where}" if where else ""
    query += " ORDER BY window_id, target" + (f" LIMIT {limit}" if limit is not None else "")
    try:
        rows = run.sql(query).fetchall()
    except duckdb.Error as error:
        raise ExtractError(f"the condition {where!r} cannot be asked of the view explanations: {error}") from None
    if not rows:
        raise ExtractError(f"no explanation of {run!r} fits {where!r}" if where else f"{run!r} has no explanation")
    return [dict(zip(_COLUMNS, row, strict=True)) for row in rows]


def _listenables(run: Run, rows: Sequence[dict[str, Any]]) -> dict[tuple[str, str, str], Listenable]:
    wanted = {(row["window_id"], row["target"]) for row in rows}
    chosen = pc.field("window_id").isin([window_id for window_id, _ in wanted])
    found = {}
    for batch in run.table("listenables").to_batches(filter=chosen):
        for row in batch.to_pylist():
            if (row["window_id"], row["target"]) in wanted:
                flac = row.pop("audio")["bytes"]
                found[row["window_id"], row["target"], row["kind"]] = Listenable(flac, row)
    return found


def _originals(
    run: Run,
    rows: Sequence[dict[str, Any]],
    sides: dict[tuple[str, str, str], Listenable],
    input_url: str | None,
) -> Callable[[dict[str, Any]], NDArray[np.float32]]:
    """What gives the waveform `[n]` of an explanation's window as it was recorded."""
    if input_url is not None:
        return _read_again(run, rows, input_url)

    def summed(row: dict[str, Any]) -> NDArray[np.float32]:
        parts = [sides.get((row["window_id"], row["target"], kind)) for kind in _SIDES]
        if run.record.explainer["mask_domain"] != "magnitude" or None in parts:
            raise ExtractError(
                f"the original of {row['window_id']} is not the sum of what the run has written: give --input, the "
                "run's input, to read it from there"
            )
        # A side that would have left full scale was lowered as a whole.
        return np.sum(
            [one.waveform / 10 ** (one.row["gain_db"] / 20) for one in parts if one], axis=0, dtype=np.float32
        )

    return summed


def _read_again(
    run: Run, rows: Sequence[dict[str, Any]], input_url: str
) -> Callable[[dict[str, Any]], NDArray[np.float32]]:
    rate = run.record.explainer["sample_rate"]
    wanted = {row["clip_id"] for row in rows}
    found = {recording.clip_id: recording for recording in find_recordings(list_input(input_url), wanted)}
    if missing := sorted(wanted - found.keys()):
        raise ExtractError(f"{len(missing)} recordings of the run are not in {input_url}, {missing[0]} for one")

    def cut(row: dict[str, Any]) -> NDArray[np.float32]:
        recording = found[row["clip_id"]]
        start = round(row["start_s"] * rate)
        waveform: NDArray[np.float32] = decode(recording.data, recording.name, rate).waveform
        return waveform[start : start + round(row["duration_s"] * rate)]

    return cut
