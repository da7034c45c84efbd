"""What a finished run leaves behind, and how others read it."""

from __future__ import annotations

import hashlib
import io
import json
import math
import re
from collections import Counter
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pyarrow.dataset
import pyarrow.parquet as pq
import pytest
import soundfile

from pipeline.runs.croissant import CROISSANT
from pipeline.runs.output import RunOutput
from schemas.records import TableName
from schemas.tables import TABLES
from tests.conftest import TinyRun
from tests.flow.make import BAD, FRONT_END, GOOD, RATE, WINDOWS, Recorder, content_of, explain, rows, stem

pytestmark = pytest.mark.slow
NAMES: list[TableName] = ["predictions", "masks", "faithfulness", "listenables", "errors"]


def files_below(folder: str | Path) -> dict[str, tuple[int, bytes]]:
    """Modification time and contents of every file, by relative path."""
    root = Path(folder)
    return {
        path.relative_to(root).as_posix(): (path.stat().st_mtime_ns, path.read_bytes())
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def test_every_clip_is_explained_or_an_error_exactly_once(tiny_run: TinyRun) -> None:
    predicted = {row["key"] for row in rows(tiny_run.output, "predictions")}
    failed = [row["key"] for row in rows(tiny_run.output, "errors")]
    assert predicted == set(GOOD)
    assert sorted(failed) == sorted(BAD)
    assert {row["key"]: row["reason"] for row in rows(tiny_run.output, "errors")} == BAD


@pytest.mark.parametrize(
    ("table", "times"), [("predictions", 1), ("masks", 1), ("faithfulness", 1), ("listenables", 2)]
)
def test_every_window_stands_once_in_each_table(tiny_run: TinyRun, table: TableName, times: int) -> None:
    keys = {row["clip_id"]: stem(row["key"]) for row in rows(tiny_run.output, "predictions")}
    counts = Counter(row["window_id"] for row in rows(tiny_run.output, table))
    assert set(counts.values()) == {times}
    assert Counter(keys[window.rpartition("-")[0]] for window in counts) == WINDOWS


def test_no_number_is_nan_and_probabilities_sum_to_one(tiny_run: TinyRun) -> None:
    for table in NAMES:
        for row in rows(tiny_run.output, table):
            flat = [x for value in row.values() for x in (value if isinstance(value, list) else [value])]
            assert all(math.isfinite(x) for x in flat if isinstance(x, float)), table
    for row in rows(tiny_run.output, "predictions"):
        assert sum(row["probabilities"]) == pytest.approx(1, abs=1e-5)


def test_listenables_are_there_with_their_digest_and_length(tiny_run: TinyRun) -> None:
    lengths = {row["window_id"]: row["duration_s"] for row in rows(tiny_run.output, "predictions")}
    for row in rows(tiny_run.output, "listenables"):
        data = row["audio"]["bytes"]
        assert hashlib.sha256(data).hexdigest() == row["sha256"]
        samples, rate = soundfile.read(io.BytesIO(data))
        assert rate == RATE
        assert len(samples) == round(lengths[row["window_id"]] * RATE) == round(row["duration_s"] * RATE)


def test_masked_in_and_masked_out_add_up_to_the_clip(tiny_run: TinyRun) -> None:
    sides = {(row["window_id"], row["kind"]): row for row in rows(tiny_run.output, "listenables")}
    (recording,) = (row["clip_id"] for row in rows(tiny_run.output, "predictions") if row["key"] == "dog/one.wav")
    original, _ = soundfile.read(Path(tiny_run.source) / "dog/one.wav")
    both = [sides[f"{recording}-00000", kind] for kind in ("masked_in", "masked_out")]
    assert [side["gain_db"] for side in both] == [0, 0]
    parts = [soundfile.read(io.BytesIO(side["audio"]["bytes"]))[0] for side in both]
    np.testing.assert_allclose(sum(parts), original, atol=1e-3)


def test_the_manifest_names_exactly_the_files_that_are_there(tiny_run: TinyRun) -> None:
    manifest = RunOutput(tiny_run.output).read_manifest()
    named = RunOutput(tiny_run.output).files()
    present = files_below(tiny_run.output)
    kept = {path for path in present if not path.startswith("_") and path != CROISSANT}
    assert {file.path for file in named} == kept
    for file in named:
        data = present[file.path][1]
        assert (file.bytes, file.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    assert manifest.complete
    assert (manifest.recordings, manifest.windows, manifest.errors) == (8, 10, 3)
    assert "_SUCCESS" in present


def test_files_carry_schema_and_version(tiny_run: TinyRun) -> None:
    for table in NAMES:
        for path in (Path(tiny_run.output) / table).iterdir():
            schema = pq.read_schema(path)
            found = dict(schema.metadata)
            edges = json.loads(found.pop(b"band_edges_hz")) if table == "masks" else []
            assert schema.with_metadata(found).equals(TABLES[table], check_metadata=True), path.name
            assert len(edges) == (FRONT_END.n_mels + 1 if table == "masks" else 0)


@pytest.mark.parametrize("table", NAMES)
def test_duckdb_pandas_and_pyarrow_open_a_table_as_it_lies(tiny_run: TinyRun, table: TableName) -> None:
    expected = len(rows(tiny_run.output, table))
    folder = f"{tiny_run.output}/{table}"
    with duckdb.connect() as db:
        assert db.execute(f"SELECT count(*) FROM '{folder}/*.parquet'").fetchone() == (expected,)
    assert len(pd.read_parquet(folder)) == expected
    assert pyarrow.dataset.dataset(folder).count_rows() == expected


def test_nothing_names_this_machine(tiny_run: TinyRun) -> None:
    home = str(Path(tiny_run.output).parent)
    for path, (_, data) in files_below(tiny_run.output).items():
        assert home.encode() not in data, path
        if path.endswith(".parquet"):
            assert home not in str(pq.read_table(io.BytesIO(data)).to_pylist()), path


def test_running_it_again_does_nothing_new(tiny_run: TinyRun) -> None:
    before = files_below(tiny_run.output)
    reporter = Recorder()
    result = explain(tiny_run.source, tiny_run.output, content_of(tiny_run.explainer), reporter)
    after = files_below(tiny_run.output)
    assert reporter.size is None
    assert (reporter.commits, result.resumed) == ([], 4)
    assert {path: data for path, (_, data) in after.items()} == {path: data for path, (_, data) in before.items()}
    tables = [path for path in before if not path.startswith("_") or path.startswith("_commits")]
    assert [after[path][0] for path in tables] == [before[path][0] for path in tables]


def test_the_run_record_says_what_was_asked_and_by_what(tiny_run: TinyRun) -> None:
    record = json.loads((Path(tiny_run.output) / "_run.json").read_text())
    assert record["explainer"]["name"] == "tiny"
    assert re.fullmatch("[0-9a-f]{64}", record["explainer"]["digest"])
    assert record["config"]["part_windows"] == 4
    assert {"lmac", "torch", "ray"} <= record["packages"].keys()
