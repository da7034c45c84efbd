"""Rows of given windows are found in a table of many files and row groups, and nothing else is read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.runs.output import RunOutput
from pipeline.runs.window_rows import WindowRows
from pipeline.storage.errors import StorageError
from schemas.records import FileRecord

SCHEMA = pa.schema([("window_id", pa.string()), ("target", pa.string()), ("mask", pa.binary())])


def row(number: int, target: str = "low") -> dict[str, Any]:
    return {"window_id": f"w{number:04d}", "target": target, "mask": f"{number} {target}".encode()}


def written(folder: Path, files: list[list[dict[str, Any]]], row_group_rows: int = 4) -> list[FileRecord]:
    output = RunOutput(str(folder))
    tables = [pa.Table.from_pylist(rows, schema=SCHEMA) for rows in files]
    return [output.write_table("masks", f"{i:03d}", one, row_group_rows) for i, one in enumerate(tables)]


def test_a_window_is_read_from_its_own_file_alone(tmp_path: Path) -> None:
    files = written(tmp_path, [[row(number) for number in range(start, start + 10)] for start in (0, 10, 20)])
    found = WindowRows(str(tmp_path), files)
    found.find()
    for file in (files[0], files[2]):
        (tmp_path / file.path).unlink()
    assert list(found.rows(["w0013"], SCHEMA.names)) == [row(13)]
    with pytest.raises(StorageError, match="it does not exist"):
        list(found.rows(["w0013", "w0023"], ["window_id"]))


def test_a_window_is_read_from_its_own_row_group_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (file,) = written(tmp_path, [[row(number) for number in range(10)]])
    found = WindowRows(str(tmp_path), [file])
    found.find()
    read: list[list[int]] = []
    inner = pq.ParquetFile.iter_batches
    monkeypatch.setattr(
        pq.ParquetFile,
        "iter_batches",
        lambda self, size, groups, *rest, **more: read.append(groups) or inner(self, size, groups, *rest, **more),
    )
    for number in (0, 3, 4, 9):
        assert list(found.rows([f"w{number:04d}"], SCHEMA.names)) == [row(number)]
    assert read == [[0], [0], [1], [2]]


def test_rows_in_no_order_are_all_found_wherever_they_lie(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    every = [row(number, target) for number in range(40) for target in ("low", "mid", "high")]
    parts = np.array_split(rng.permutation(len(every)), 7)
    found = WindowRows(str(tmp_path), written(tmp_path, [[every[i] for i in part] for part in parts]), keys=["target"])
    for number in range(40):
        got = list(found.rows([f"w{number:04d}"], SCHEMA.names))
        assert sorted(one["target"] for one in got) == ["high", "low", "mid"]
        assert all(one == row(number, one["target"]) for one in got)
        assert found.keys(f"w{number:04d}") == {("low",), ("mid",), ("high",)}
    assert found.table(["w0003", "w0030"], SCHEMA).num_rows == 6


def test_of_windows_that_are_not_wanted_nothing_is_held(tmp_path: Path) -> None:
    found = WindowRows(str(tmp_path), written(tmp_path, [[row(0), row(1)], [row(2)]]), ["w0001"], ["target"])
    assert found.keys("w0001") == {("low",)}
    assert list(found.rows(["w0001"], SCHEMA.names)) == [row(1)]
    for other in ("w0000", "w0002", "nobody"):
        assert found.keys(other) == set()
        assert list(found.rows([other], SCHEMA.names)) == []


def test_a_table_without_rows_holds_no_window(tmp_path: Path) -> None:
    found = WindowRows(str(tmp_path), written(tmp_path, [[]]), keys=["target"])
    assert found.keys("w0000") == set()
    assert list(found.rows(["w0000"], SCHEMA.names)) == []
    assert found.table(["w0000"], SCHEMA) == SCHEMA.empty_table()
