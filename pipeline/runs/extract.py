"""Write sounds of a run as FLAC files with readable names, and a table of them."""

from __future__ import annotations

import csv
import os
from collections import defaultdict
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import duckdb
import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.audio.flac import encode_flac
from pipeline.runs.listenable import Listenable
from pipeline.runs.original import SidesSum, read_originals
from pipeline.runs.run import Run, open_run
from pipeline.storage.file_names import explanation_name
from pipeline.storage.filesystem import display_url
from schemas.errors import LmacError
from schemas.run_config import SIDES

KINDS = (*SIDES, "original")
TABLE = "extracted.csv"
_COLUMNS = ("clip_id", "window_id", "target", "key", "shard", "start_s", "duration_s", "label", "label_true", "p", "ff")
# FLACs may have a megabyte each.
_BATCH_ROWS = 16

Key = tuple[str, str, str]  # window, target, kind


class ExtractError(LmacError):
    """The requested sounds cannot be extracted, or not into this folder."""


@dataclass(frozen=True)
class Extracted:
    """One FLAC file: its path, its kind, and the row of its explanation."""

    path: Path
    kind: str
    row: dict[str, Any]

    @property
    def key(self) -> Key:
        """The window, the target and the kind."""
        return self.row["window_id"], self.row["target"], self.kind


@dataclass(frozen=True)
class Extraction:
    """The files, ordered by name, the number of explanations that fit, and how many of them lack each kind."""

    files: list[Extracted]
    fitting: int
    lacking: dict[str, int]


def extract(
    run: Run | str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    where: str | None = None,
    limit: int | None = None,
    kinds: Sequence[str] = ("masked_in",),
    input_url: str | os.PathLike[str] | None = None,
    labels: str | os.PathLike[str] | None = None,
) -> Extraction:
    """Write FLAC files of a run into the new or empty folder `out`, and the table `extracted.csv` beside them.

    `run` is an opened run, a path or a URL. `where` is an SQL condition over the view `explanations` (predictions,
    faithfulness and profiles joined), `limit` the maximum number of explanations, of those that have a sound of one of
    the `kinds`. `original` is the window as it was recorded: read again from `input_url` if given, else the sum of both
    sides if the run has both and its masks multiply the magnitude. `labels` is the run's table of labels, needed with
    `input_url` if it defines the segments. If not all files can be written, none is left.
    Raises ExtractError when a kind is unknown, the folder is not empty, the condition is not SQL, nothing fits it, or
    nothing that fits has such a sound; StorageError when there is no finished run or it cannot be read, InputError for
    the input and the table of labels.

    >>> from lmac import extract
    >>> made = extract("explained", "listen", limit=3, kinds=("masked_in", "original"))
    >>> len(made.files), made.files[0].kind, made.fitting, made.lacking
    (6, 'masked_in', 10, {'masked_in': 0, 'original': 0})
    """
    if unknown := sorted(set(kinds) - set(KINDS)):
        raise ExtractError(f"there is no sound of the kind {unknown[0]!r}: choose from {', '.join(KINDS)}")
    run = run if isinstance(run, Run) else open_run(run)
    kinds, folder = list(dict.fromkeys(kinds)), Path(out)
    if folder.exists() and any(folder.iterdir()):
        raise ExtractError(f"{folder} is not empty: choose another folder, or delete it")
    rows, fitting, lacking = _explanations(run, where, limit, kinds, input_url is not None)
    files = []
    for number, row in enumerate(rows, start=1):
        name = explanation_name(number, row["target"], PurePosixPath(row["key"]).stem, row["start_s"])
        files += [Extracted(folder / f"{name}-{kind}.flac", kind, row) for kind in kinds if kind in row["sounds"]]
    folder.mkdir(parents=True, exist_ok=True)
    try:
        _write_sounds(run, files, input_url, os.fspath(labels) if labels is not None else None)
        with (folder / TABLE).open("w", newline="", encoding="utf-8") as file:
            table = csv.writer(file)
            table.writerow(["file", "kind", *_COLUMNS])
            table.writerows([one.path.name, one.kind, *(_cell(one.row[name]) for name in _COLUMNS)] for one in files)
    except BaseException:
        for path in [*(one.path for one in files), folder / TABLE]:
            path.unlink(missing_ok=True)
        raise
    return Extraction(files, fitting, lacking)


def _cell(value: Any) -> Any:
    return "; ".join(value) if isinstance(value, list) else value


def _explanations(
    run: Run, where: str | None, limit: int | None, kinds: list[str], from_input: bool
) -> tuple[list[dict[str, Any]], int, dict[str, int]]:
    """Return explanations that fit and have a sound (kinds in `sounds`); how many fit; how many lack each kind."""
    both = "len(sides) = 2" if run.record.explainer["mask_domain"] == "magnitude" else "false"
    # The condition is on lines of its own, so that a comment in it ends there.
    query = f"""
        SELECT {", ".join(_COLUMNS)},
            list_concat(coalesce(sides, []), CASE WHEN {from_input} OR {both} THEN ['original'] ELSE [] END) AS sounds
        FROM (SELECT * FROM explanations WHERE (
            {where or "true"}
        )) LEFT JOIN (
            SELECT window_id, target, list(DISTINCT kind) AS sides FROM listenables GROUP BY ALL
        ) USING (window_id, target)
    """
    counts = [f"count(*) FILTER (NOT list_contains(sounds, '{kind}'))" for kind in kinds]
    try:
        found = run.sql(query)
        fitting, *lacking = found.aggregate(", ".join(["count(*)", *counts])).fetchall()[0]
        chosen = found.filter(f"list_has_any(sounds, {kinds})").order("window_id, target")
        rows = (chosen if limit is None else chosen.limit(limit)).fetchall()
    except duckdb.Error as error:
        raise ExtractError(f"the condition {where!r} is not one over the view explanations: {error}") from None
    if not fitting:
        shown = display_url(run.url)
        raise ExtractError(f"no explanation of {shown} fits {where!r}" if where else f"{shown} has no explanation")
    if not rows:
        config = run.record.config
        raise ExtractError(
            f"none of the {fitting} explanations that fit has a sound of the kind {' or '.join(kinds)}: the run was "
            f"made with --listenables {' and '.join(config['listenables']) or 'none'} and --listen {config['listen']}"
            + ("; originals are read from the run's input where --input gives it" if "original" in kinds else "")
        )
    columns = (*_COLUMNS, "sounds")
    return [dict(zip(columns, row, strict=True)) for row in rows], fitting, dict(zip(kinds, lacking, strict=True))


def _write_sounds(
    run: Run, files: Sequence[Extracted], input_url: str | os.PathLike[str] | None, labels_url: str | None
) -> None:
    left = {one.key: one for one in files}
    if input_url is not None and (originals := [one.row for one in files if one.kind == "original"]):
        for key, waveform in _read_again(run, originals, os.fspath(input_url), labels_url):
            left.pop(key).path.write_bytes(encode_flac(waveform, run.record.explainer["sample_rate"]))
        if missing := {one.row["clip_id"]: one.row["key"] for one in left.values() if one.kind == "original"}:
            shown, first = display_url(os.fspath(input_url)), min(missing.values())
            raise ExtractError(f"{len(missing)} recordings of the run are not in {shown}, {first!r} for one")
    for key, flac in _written_by(run, frozenset(left)) if left else ():
        left.pop(key).path.write_bytes(flac)
    assert not left, f"{len(left)} listenables that were counted are not there"


def _read_again(
    run: Run, rows: Sequence[dict[str, Any]], input_url: str, labels_url: str | None
) -> Iterator[tuple[Key, NDArray[np.float32]]]:
    """Yield the windows `[n]` of these rows, cut from the recordings of the input."""
    by_window = defaultdict(list)
    for row in rows:
        by_window[row["window_id"]].append(row["target"])
    for window_id, waveform in read_originals(run, by_window.keys(), input_url, labels_url):
        for target in by_window[window_id]:
            yield (window_id, target, "original"), waveform


def _written_by(run: Run, wanted: Set[Key]) -> Iterator[tuple[Key, bytes]]:
    """Yield wanted FLACs from the run's listenables, a few rows at a time, and originals as the sum of both sides."""
    chosen = pc.field("window_id").isin(list({window_id for window_id, _, _ in wanted}))
    sides = SidesSum()
    for batch in run.table("listenables").to_batches(
        filter=chosen, batch_size=_BATCH_ROWS, batch_readahead=1, fragment_readahead=1
    ):
        for row in batch.to_pylist():
            side, original = ((row["window_id"], row["target"], kind) for kind in (row["kind"], "original"))
            one = Listenable(row.pop("audio")["bytes"], row)
            if side in wanted:
                yield side, one.flac
            if original in wanted:
                waveform = sides.add(one)
                if waveform is not None:
                    yield original, encode_flac(waveform, one.sample_rate)
