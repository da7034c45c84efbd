"""A dataset in six numbers."""

from __future__ import annotations

from dataclasses import dataclass

import duckdb

from pipeline.audit.report.words import KEPT, REST, SURE, figure
from pipeline.runs.run import Run


@dataclass(frozen=True)
class Figure:
    """A number to be read at a glance, what it counts, and a note."""

    value: str
    caption: str
    note: str = ""


def six_numbers(run: Run, connection: duckdb.DuckDBPyConnection) -> list[Figure]:
    """Recordings, sound, classes, agreement with labels, explanations that hold, and what could not be used."""
    seconds, longest, decided, labelled, hits = _one(
        connection,
        "SELECT coalesce(sum(duration_s), 0), coalesce(max(duration_s), 0), count(DISTINCT label), "
        "count(*) FILTER (list_has_any(label_true, $classes)), "
        "count(*) FILTER (list_contains(label_true, label)) FROM predictions",
        classes=list(run.classes),
    )
    held, explained = _one(
        connection,
        f"SELECT count(*) FILTER (p - p_out >= {REST} * p AND p_in >= {KEPT} * p), count(*) FROM faithfulness "
        f"JOIN predictions USING (window_id) WHERE target = label AND p >= {SURE}",
    )
    manifest = run.manifest
    lost = manifest.errors - manifest.partly
    partly = f"{manifest.partly:,} more were heard in part" if manifest.partly else "all others were heard in full"
    return [
        Figure(f"{manifest.recordings:,}", "recordings", f"in {manifest.windows:,} windows of up to {longest:g} s"),
        Figure(*_length(seconds), "explained"),
        Figure(f"{decided:,}", "classes heard", f"of {len(run.classes):,} that the classifier knows"),
        Figure(
            figure(hits / labelled) if labelled else "none",
            "of labels agree with the call" if labelled else "labels to compare with",
            f"{labelled:,} windows have a label that the classifier knows",
        ),
        Figure(
            figure(held / explained) if explained else "none",
            "of explanations hold",
            "the kept part alone gives the call, and without it the call drops",
        ),
        Figure(
            f"{lost:,}", "recordings could not be used", partly if lost or manifest.partly else "nothing was left out"
        ),
    ]


def _one(connection: duckdb.DuckDBPyConnection, query: str, **values: object) -> tuple[float, ...]:
    # All rows, though there is one: a result that is not read to its end blocks the next query.
    (row,) = connection.execute(query, values).fetchall()
    return tuple(row)


def _length(seconds: float) -> tuple[str, str]:
    """A length of time as a number of a unit that suits it."""
    for unit, length in (("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            value = seconds / length
            return (f"{value:,.0f}" if value >= 10 else f"{value:.1f}"), f"{unit} of sound"
    return f"{seconds:.0f}", "seconds of sound"
