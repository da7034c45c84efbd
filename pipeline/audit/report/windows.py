"""The windows that a report shows: a row of the list for each, and what its own page shows."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.audit.audited import rows_of
from pipeline.audit.report.words import in_words, warnings
from pipeline.runs.run import Run
from pipeline.runs.window_rows import WindowRows
from schemas.tables import PREDICTIONS

MAX_TARGETS = 3
_PROBABLE = 5
# Columns and letters of metadata that are shown, so that a report's size does not depend on the input's.
_MAX_COLUMNS, _MAX_LETTERS = 40, 300
_EXPLAINED = ("p", "p_in", "p_out", "ff", "ad", "fid_in", "mask_mean", "energy_kept", "p_in_audio", "p_out_audio")
# What a window's page shows of its recording, and the words for it.
_FACTS = {
    "duration_s": "sound, s",
    "sample_rate_in": "sample rate, Hz",
    "channels_in": "channels",
    "channel": "channel explained",
    "level_dbfs": "level, dBFS",
    "clipped": "clipped samples, share",
    "silence": "silence, share",
    "dropout_s": "longest dropout, s",
    "dc_offset": "DC offset",
    "bandwidth_hz": "spectrum ends at, Hz",
    "noise_floor_dbfs": "noise floor, dBFS",
}


class Windows:
    """What the tables say of the windows shown, in the order of `window_ids`, read once."""

    def __init__(self, run: Run, connection: duckdb.DuckDBPyConnection, window_ids: Sequence[str]) -> None:
        self.classes = run.classes
        shown = pa.table({"window_id": pa.array(window_ids, pa.string()), "place": range(len(window_ids))})
        connection.register("shown", shown)
        try:
            scores = connection.sql(
                f"SELECT place, target, {', '.join(_EXPLAINED)} FROM faithfulness JOIN shown USING (window_id) "
                f"QUALIFY row_number() OVER (PARTITION BY window_id ORDER BY p DESC, target) <= {MAX_TARGETS} "
                "ORDER BY place, p DESC, target"
            ).to_arrow_table()
            labels = connection.sql(
                "SELECT label_true FROM predictions JOIN shown USING (window_id) ORDER BY place"
            ).fetchall()
            members = connection.sql(
                "SELECT place, finding, score, suggestion FROM members JOIN shown USING (window_id) "
                "ORDER BY place, score DESC"
            ).to_arrow_table()
        finally:
            connection.unregister("shown")
        table = _predictions(run, window_ids)
        self.embeddings: NDArray[np.float32] = rows_of(table["embedding"])
        self._probabilities = rows_of(table["probabilities"])
        self.rows: list[dict[str, Any]] = table.drop_columns(["embedding", "probabilities"]).to_pylist()
        for row, (own,) in zip(self.rows, labels, strict=True):
            row["label_true"] = own
        self.explanations: list[list[dict[str, Any]]] = [[] for _ in self.rows]
        for row in scores.to_pylist():
            self.explanations[row.pop("place")].append(row)
        self.members: list[list[dict[str, Any]]] = [[] for _ in self.rows]
        for row in members.to_pylist():
            self.members[row.pop("place")].append(row)
        self.by_id = {row["window_id"]: place for place, row in enumerate(self.rows)}

    def targets(self, places: Sequence[int]) -> dict[str, list[str]]:
        """The targets that are shown for each window at these places."""
        return {self.rows[i]["window_id"]: [one["target"] for one in self.explanations[i]] for i in places}

    def columns(self, findings: Sequence[str], media: Sequence[int]) -> dict[str, Any]:
        """The list of all windows as columns, with repeated names stored once.

        `findings` are the ids in the report's order; `media` says what each window has: 0 nothing, 1 pictures,
        2 sound as well.
        """
        names: dict[str, int] = {}

        def number(name: str) -> int:
            return names.setdefault(name, len(names))

        place = {finding: i for i, finding in enumerate(findings)}
        explained = [found[0] if found else {} for found in self.explanations]
        clips: dict[str, int] = {}
        columns = {
            "clip": [clips.setdefault(row["clip_id"], len(clips)) for row in self.rows],
            "key": [row["key"] for row in self.rows],
            "key_rank": _ranks([row["key"] for row in self.rows]),
            "start": [round(row["start_s"], 2) for row in self.rows],
            "label": [number(row["label"]) for row in self.rows],
            "p": [round(row["probability"], 4) for row in self.rows],
            "truth": [[number(one) for one in row["label_true"]] for row in self.rows],
            "ff": [_rounded(one.get("ff")) for one in explained],
            "kept": [_rounded(one.get("energy_kept")) for one in explained],
            "findings": [sorted({place[one["finding"]] for one in found}) for found in self.members],
            "media": list(media),
        }
        return {**columns, "clip_id": list(clips), "names": list(names)}

    def details(self, i: int, findings: Sequence[str]) -> dict[str, Any]:
        """What the page of window `i` shows, without sound, pictures and neighbours."""
        row = self.rows[i]
        probabilities = self._probabilities[i]
        probable = np.argsort(-probabilities, kind="stable")[:_PROBABLE]
        return {
            "window_id": row["window_id"],
            "shard": row["shard"],
            "length": row["duration_s"],
            "damaged": row["damaged"],
            "facts": [[words, row[name]] for name, words in _FACTS.items() if row.get(name) is not None],
            "metadata": _metadata(row["metadata"]),
            "probable": [[self.classes[c], float(probabilities[c])] for c in probable],
            "explanations": [
                {"target": one["target"], "scores": one, "words": in_words(one), "warnings": warnings(one)}
                for one in self.explanations[i]
            ],
            "members": [
                [findings.index(one["finding"]), one["score"], one["suggestion"]]
                for one in self.members[i]
                if one["finding"] in findings
            ],
        }


def _predictions(run: Run, window_ids: Sequence[str]) -> pa.Table:
    """The rows of `predictions` in the order of `window_ids`; a join would read the embeddings of the whole run."""
    columns = [name for name in PREDICTIONS.names if name not in ("band_levels_dbfs", "label_true")]
    schema = pa.schema([PREDICTIONS.field(name) for name in columns])
    table = WindowRows(run.url, run.files("predictions"), window_ids).table(window_ids, schema)
    place = {window_id: i for i, window_id in enumerate(table["window_id"].to_pylist())}
    return table.take(pa.array([place[one] for one in window_ids], pa.int64()))


def _ranks(names: Sequence[str]) -> list[int]:
    """The rank of each name in natural order: 9 before 10, ignoring case."""
    order = sorted(range(len(names)), key=lambda i: _natural(names[i]))
    ranks = [0] * len(names)
    for rank, i in enumerate(order):
        ranks[i] = rank
    return ranks


def _natural(name: str) -> list[tuple[int, str]]:
    parts = re.split(r"([0-9]+)", name.casefold())
    return [(int(part) if place % 2 else 0, "" if place % 2 else part) for place, part in enumerate(parts)]


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def _metadata(text: str) -> list[list[str]]:
    """The input's own columns as pairs of name and value, nested values as JSON; long ones are cut."""
    try:
        found = json.loads(text)
    except ValueError:
        return []
    if not isinstance(found, dict):
        return []
    values = {name: one if isinstance(one, str) else json.dumps(one, ensure_ascii=False) for name, one in found.items()}
    return [[_cut(name), _cut(value)] for name, value in list(values.items())[:_MAX_COLUMNS]]


def _cut(text: str) -> str:
    return text if len(text) <= _MAX_LETTERS else f"{text[:_MAX_LETTERS]} …"


def members_by_finding(members: Sequence[Sequence[dict[str, Any]]]) -> dict[str, list[int]]:
    """The windows shown of each finding, the clearest first."""
    found: dict[str, list[tuple[float, int]]] = defaultdict(list)
    for i, of_window in enumerate(members):
        for one in of_window:
            found[one["finding"]].append((-one["score"], i))
    return {finding: list(dict.fromkeys(i for _, i in sorted(places))) for finding, places in found.items()}
