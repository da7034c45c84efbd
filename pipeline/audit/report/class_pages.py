"""What a report says about each class: how many, how sure, how faithful, and where its evidence lies."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.audit.audited import rows_of
from pipeline.runs.run import Run

BINS = 10
_CONFUSED = 5
_EXAMPLES = 24
_BATCH_ROWS = 8192
_PROFILES = ("band_profile", "time_profile")
_MEANS = ("p", "p_in", "p_out", "ff", "ad", "fid_in", "mask_mean", "energy_kept")

Profiles = tuple[NDArray[np.float64], NDArray[np.int64]]  # sums [classes, n], explanations [classes]


def class_pages(
    run: Run,
    connection: duckdb.DuckDBPyConnection,
    findings: Sequence[Mapping[str, Any]],
    shown: Mapping[str, Sequence[int]],
) -> list[dict[str, Any]]:
    """The page data of each class that is decided, explained or a label, by name; `shown` are windows of a class.

    `with_profiles` adds where its evidence lies.
    """
    decided = _rows(
        connection, "SELECT label, count(*), count(DISTINCT clip_id), avg(probability) FROM predictions GROUP BY 1"
    )
    sure = _counts(connection, f"SELECT label, least(floor(probability * {BINS}), {BINS - 1})::INT, count(*)")
    labelled = "FROM (SELECT unnest(label_true) AS truth, label, clip_id, label_true FROM predictions) GROUP BY "
    truth = _rows(connection, f"SELECT truth, count(*), count(DISTINCT clip_id) {labelled} 1")
    missed = _counts(connection, "SELECT truth, label, count(*)", labelled + "1, 2")
    taken = _counts(connection, "SELECT label, truth, count(*)", labelled + "1, 2")
    hits = {name: counts.get(name, 0) for name, counts in missed.items()}
    means = _rows(
        connection,
        f"SELECT target, count(*), {', '.join(f'avg({one})' for one in _MEANS)} FROM faithfulness "
        "JOIN predictions USING (window_id) WHERE target = label GROUP BY 1",
    )
    touched = _touched(connection)
    names = sorted({*decided, *truth, *means})
    place = {finding["finding"]: i for i, finding in enumerate(findings)}
    pages = []
    for name in names:
        windows, recordings, p = decided.get(name, (0, 0, None))
        labels, labelled_recordings = truth.get(name, (0, 0))
        own = [place[one["finding"]] for one in findings if one["subject"] == name]
        others = [place[one] for one in touched.get(name, ()) if place[one] not in own]
        explained, *scores = means.get(name, (0, *[None] * len(_MEANS)))
        pages.append(
            {
                "name": name,
                "known": name in run.classes,
                "windows": windows,
                "recordings": recordings,
                "p": p,
                "sure": [sure.get(name, {}).get(b, 0) for b in range(BINS)],
                "labelled": labels,
                "labelled_recordings": labelled_recordings,
                "hits": hits.get(name, 0),
                "missed": _most(missed.get(name, {}), name),
                "taken": _most(taken.get(name, {}), name),
                "explained": explained,
                "scores": dict(zip(_MEANS, scores, strict=True)),
                "findings": own,
                "also": others,
                "shown": list(shown.get(name, ()))[:_EXAMPLES],
            }
        )
    return pages


def with_profiles(pages: Sequence[dict[str, Any]], connection: duckdb.DuckDBPyConnection) -> list[dict[str, Any]]:
    """Add to the page data of each class the mean masks over frequency (`bands`) and time (`times`), and of others."""
    names = [page["name"] for page in pages]
    bands, times = _profiles(connection, names)
    return [{**page, "bands": _against(bands, c), "times": _against(times, c)} for c, page in enumerate(pages)]


def _rows(connection: duckdb.DuckDBPyConnection, query: str) -> dict[str, tuple[Any, ...]]:
    return {name: tuple(values) for name, *values in connection.execute(query).fetchall()}


def _counts(
    connection: duckdb.DuckDBPyConnection, select: str, rest: str = "FROM predictions GROUP BY 1, 2"
) -> dict[str, dict[Any, int]]:
    found: dict[str, dict[Any, int]] = defaultdict(dict)
    for name, other, count in connection.execute(f"{select} {rest}").fetchall():
        found[name][other] = count
    return found


def _most(counts: Mapping[str, int], but: str) -> list[list[Any]]:
    ordered = sorted(
        ((count, name) for name, count in counts.items() if name != but), key=lambda one: (-one[0], one[1])
    )
    return [[name, count] for count, name in ordered[:_CONFUSED]]


def _touched(connection: duckdb.DuckDBPyConnection) -> dict[str, list[str]]:
    """The findings of each class with at least half of their windows decided as it, the weightiest first."""
    found: dict[str, list[str]] = defaultdict(list)
    rows = connection.execute(
        "SELECT label, finding FROM (SELECT finding, label, count(*) AS here FROM members "
        "JOIN predictions USING (window_id) GROUP BY ALL) "
        "JOIN (SELECT finding, count(*) AS members FROM members GROUP BY 1) USING (finding) "
        "JOIN findings USING (finding) WHERE here * 2 >= members ORDER BY weight DESC, finding"
    ).fetchall()
    for label, finding in rows:
        found[label].append(finding)
    return found


def _profiles(connection: duckdb.DuckDBPyConnection, names: Sequence[str]) -> list[Profiles]:
    """Sums `[C, n]` of both profiles of each class and their counts `[C]`, over windows decided as the class.

    A few thousand rows are read at a time.
    """
    place = {name: c for c, name in enumerate(names)}
    sums, counts = [np.zeros((len(names), 0))] * len(_PROFILES), np.zeros(len(names), np.int64)
    called = connection.sql(
        f"SELECT target, {', '.join(_PROFILES)} FROM masks JOIN predictions USING (window_id) WHERE target = label"
    )
    for batch in called.fetch_arrow_reader(_BATCH_ROWS):
        if not batch.num_rows:
            continue
        targets = batch.column("target").dictionary_encode()
        codes = np.array([place[one] for one in targets.dictionary.to_pylist()])[targets.indices.to_numpy()]
        counts += np.bincount(codes, minlength=len(names))
        for number, column in enumerate(_PROFILES):
            values = rows_of(pa.chunked_array([batch.column(column)]))
            if not sums[number].shape[1]:
                sums[number] = np.zeros((len(names), values.shape[1]))
            for c in np.unique(codes):
                sums[number][c] += values[codes == c].sum(axis=0, dtype=np.float64)
    return [(one, counts) for one in sums]


def _against(profiles: Profiles, c: int) -> dict[str, list[float]]:
    """The mean profile of class `c`, and that of all explanations of other classes; empty where there are none."""
    sums, counts = profiles
    others = counts.sum() - counts[c]
    return {
        "own": (sums[c] / counts[c]).tolist() if counts[c] else [],
        "others": ((sums.sum(axis=0) - sums[c]) / others).tolist() if others else [],
    }
