"""Which windows are shown: members of findings first, then every class, the same in every report."""

from __future__ import annotations

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from pipeline.audit.findings import Finding, Member, tables_of
from pipeline.audit.report.neighbours import Neighbours
from pipeline.audit.report.sample import choose
from schemas.draws import rank_of

CLASSES = {"rain": 60, "dog": 30, "siren": 10}
WINDOWS = {f"{name}-{i:03d}-00000": name for name, count in CLASSES.items() for i in range(count)}


@pytest.fixture
def tables() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    predictions = pa.table({"window_id": list(WINDOWS), "label": list(WINDOWS.values())})
    connection.register("predictions", predictions)
    ids = list(WINDOWS)
    heavy = [Member("", one, 1 - i / 100) for i, one in enumerate(ids[:40])]
    light = [Member("", one, 1 - i / 100) for i, one in enumerate(ids[60:63])]
    findings = [
        Finding("duplicate", "a", "", 40, 0.4, weight=2, members=heavy),
        Finding("typical", "b", "", 3, 0.03, weight=1, members=[*light, Member("", "gone", 9)]),
    ]
    for name, table in tables_of(findings).items():
        connection.register(name, table)
    return connection


def test_findings_come_in_turn_and_take_half_at_most(tables: duckdb.DuckDBPyConnection) -> None:
    chosen = choose(tables, 20)
    ids = list(WINDOWS)
    # Of the lighter finding, "gone" is first, and not in the run.
    assert chosen.window_ids[:10] == [ids[0], ids[60], ids[1], ids[61], ids[2], ids[62], *ids[3:7]]
    assert (chosen.windows, chosen.from_findings, len(chosen.window_ids)) == (100, 10, 20)


def test_classes_come_in_turn_by_the_ranks_that_draw_listenables(tables: duckdb.DuckDBPyConnection) -> None:
    rest = choose(tables, 30).window_ids[15:]
    assert {WINDOWS[one] for one in rest[:3]} == set(CLASSES)
    for name in CLASSES:
        of_class = [one for one in rest if WINDOWS[one] == name]
        assert of_class == sorted(of_class, key=rank_of)
    lowest = min((one for one in WINDOWS if WINDOWS[one] == "siren"), key=rank_of)
    assert lowest in rest


def test_all_are_shown_where_there_is_room_and_the_rule_says_so(tables: duckdb.DuckDBPyConnection) -> None:
    everything = choose(tables, 1000)
    assert sorted(everything.window_ids) == sorted(WINDOWS)
    assert everything.rule(100, 100) == "All 100 windows of the run are shown."
    rule = choose(tables, 20).rule(5, 4)
    for words in ("20 of the run's 100 windows", "findings come first", "lowest hash", "pictures of 5", "sound of 4"):
        assert words in rule


def test_the_sample_is_the_same_each_time(tables: duckdb.DuckDBPyConnection) -> None:
    assert choose(tables, 37) == choose(tables, 37)


def test_neighbours_are_the_nearest_windows_of_other_recordings() -> None:
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((700, 16)).astype(np.float32)
    clips = [f"clip {i // 2}" for i in range(700)]
    vectors[10] = 3 * vectors[400]
    found = Neighbours(vectors, clips).nearest(range(700))
    assert found[10][0][0] == 400
    assert found[10][0][1] == pytest.approx(1, abs=1e-5)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    for i in (0, 10, 699):
        assert len({clips[j] for j, _ in found[i]} | {clips[i]}) == 6
        best = max((j for j in range(700) if clips[j] != clips[i]), key=lambda j: unit[i] @ unit[j])
        assert found[i][0][0] == best
    some = Neighbours(vectors, clips).nearest(range(200, 210))
    assert [[j for j, _ in one] for one in some] == [[j for j, _ in one] for one in found[200:210]]
    assert Neighbours(vectors[:2], ["a", "a"]).nearest(range(2)) == [[], []]
    assert Neighbours(vectors[:0], []).nearest(range(0)) == []
