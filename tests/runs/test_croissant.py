"""A run's description is sound Croissant, and its tables are read by it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline.runs.croissant import CROISSANT
from schemas.tables import TABLES
from tests.conftest import TinyRun

mlcroissant = pytest.importorskip("mlcroissant", reason="mlcroissant is not installed")


def test_it_is_valid_and_names_every_column(tiny_run: TinyRun) -> None:
    described = mlcroissant.Dataset(Path(tiny_run.output, CROISSANT))
    assert not described.metadata.ctx.issues.errors
    records = {one.name: [field.name for field in one.fields] for one in described.metadata.record_sets}
    assert records == {name: [f"{name}/{column}" for column in schema.names] for name, schema in TABLES.items()}


def test_rows_are_read_by_it(tiny_run: TinyRun) -> None:
    described = mlcroissant.Dataset(Path(tiny_run.output, CROISSANT))
    rows = list(described.records("faithfulness"))
    assert len(rows) == 10
    assert {row["faithfulness/target"] for row in rows} <= {b"low", b"high", b"noise"}
    assert all(0 <= row["faithfulness/p"] <= 1 for row in rows)


def test_nothing_of_the_machine_is_in_it(tiny_run: TinyRun) -> None:
    text = Path(tiny_run.output, CROISSANT).read_text()
    assert tiny_run.source not in text
    assert tiny_run.output not in text
    assert json.loads(text)["conformsTo"] == "http://mlcommons.org/croissant/1.0"
