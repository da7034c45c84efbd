"""The findings of a run's audit as a report shows them; a run without an audit has none."""

from __future__ import annotations

import io
import json
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.runs.store import FileStore
from schemas.audit_tables import AUDIT_TABLES

# Each kind in words for people.
KIND_WORDS = {
    "label_error": "Wrong label",
    "shortcut": "Shortcut",
    "duplicate": "Duplicate",
    "broken_audio": "Broken audio",
    "unfaithful": "Untrusted explanation",
    "odd_one_out": "Odd one out",
    "typical": "Typical",
}


def register_audit(connection: duckdb.DuckDBPyConnection, run_url: str) -> bool:
    """Register the tables `findings` and `members` of a run's audit in a connection; they are empty without an audit.

    Candidates have no members here: no clip is to be marked on their account. Labels that the audit used instead of the
    run's own replace those in the connection's table `predictions`. Returns whether there is an audit; raises
    StorageError if its files cannot be read.
    """
    store = FileStore(run_url)
    there = store.exists("audit/findings.parquet")
    for name, schema in AUDIT_TABLES.items():
        path = f"audit/{name}.parquet"
        data = store.read_bytes(path) if there and store.exists(path) else None
        table = schema.empty_table() if data is None else pq.read_table(io.BytesIO(data))
        connection.register(f"audit_{name}", table)
    connection.execute(
        "UPDATE predictions SET label_true = taken.labels FROM audit_labels taken "
        "WHERE predictions.clip_id = taken.clip_id"
    )
    connection.execute("CREATE VIEW findings AS SELECT * FROM audit_findings")
    claimed = "SELECT finding FROM audit_findings WHERE NOT candidate"
    connection.execute(f"CREATE VIEW members AS SELECT * FROM audit_members WHERE finding IN ({claimed})")
    return there


def notes_of(run_url: str) -> list[tuple[str, str]]:
    """What a run's audit could not determine, as pairs of a kind in words and the reason; empty without an audit."""
    store = FileStore(run_url)
    if not store.exists("audit/findings.parquet"):
        return []
    told = pq.read_schema(io.BytesIO(store.read_bytes("audit/findings.parquet"))).metadata or {}
    notes = json.loads(told.get(b"audit", b"{}")).get("notes", {})
    return [(_kind_in_words(kind), note) for kind, of_kind in notes.items() for note in of_kind]


def _kind_in_words(kind: str) -> str:
    return KIND_WORDS.get(kind, kind.replace("_", " ").capitalize())


def findings_of(connection: duckdb.DuckDBPyConnection) -> list[dict[str, Any]]:
    """The findings of a connection by weight, with words for their kinds, effects and evidence."""
    table: pa.Table = connection.sql(
        "SELECT * FROM findings ORDER BY candidate, weight DESC, kind, subject, finding"
    ).to_arrow_table()
    return [
        {
            **row,
            "kind_words": _kind_in_words(row["kind"]),
            "effect_words": effect_in_words(row),
            "trial_words": _trial(row["confirmed"]),
            "evidence_pairs": _evidence(row["evidence"]),
        }
        for row in table.to_pylist()
    ]


def effect_in_words(row: dict[str, Any]) -> str:
    """A finding's effect with its interval and adjusted p, as far as it has them.

    >>> row = {"effect": 0.42, "effect_low": 0.31, "effect_high": 0.55, "effect_unit": "drop of p", "p_adjusted": 0.002}
    >>> effect_in_words(row)
    '0.42 (95%: 0.31 to 0.55) drop of p; p = 0.002, adjusted'
    """
    parts = []
    if row["effect"] is not None:
        # Shares are shown in percent, everything else as it is.
        form = "{:.1%}" if row["effect_unit"].startswith("of ") else "{:.3g}"
        value, low, high = (
            None if row[name] is None else form.format(row[name]) for name in ("effect", "effect_low", "effect_high")
        )
        span = f" (95%: {low} to {high})" if low is not None and high is not None else ""
        parts.append(f"{value}{span} {row['effect_unit']}".rstrip())
    if row["p_adjusted"] is not None:
        value = row["p_adjusted"]
        parts.append(f"p {'< 0.001' if value < 0.001 else f'= {value:.2g}'}, adjusted")
    return "; ".join(parts)


def _trial(confirmed: bool | None) -> str:
    return {True: "confirmed on audio", False: "tried on audio, not confirmed", None: ""}[confirmed]


def _evidence(text: str) -> list[tuple[str, str]]:
    try:
        found = json.loads(text)
    except ValueError:
        return [("evidence", text)]
    if not isinstance(found, dict):
        return [("evidence", text)]
    return [(str(name).replace("_", " "), _shown(value)) for name, value in found.items()]


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(one, int | float | str) for one in value):
        return ", ".join(_shown(one) for one in value)
    return json.dumps(value, ensure_ascii=False)
