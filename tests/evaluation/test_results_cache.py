from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch

from pipeline.evaluation.results_cache import ResultsCache, table_of

SCHEMA = pa.schema(
    [
        pa.field("method", pa.string(), nullable=False),
        pa.field("window", pa.int64(), nullable=False),
        pa.field("auroc", pa.float64(), nullable=True),
    ]
)


def test_a_result_is_found_by_all_that_it_depends_on(tmp_path: Path) -> None:
    cache = ResultsCache(tmp_path, {"windows": "a"})
    path = cache.path("scores", "clean", "lmac", {"seed": 0})
    assert path == ResultsCache(tmp_path, {"windows": "a"}).path("scores", "clean", "lmac", {"seed": 0})
    others = [
        ResultsCache(tmp_path, {"windows": "b"}).path("scores", "clean", "lmac", {"seed": 0}),
        cache.path("curves", "clean", "lmac", {"seed": 0}),
        cache.path("scores", "mixture", "lmac", {"seed": 0}),
        cache.path("scores", "clean", "energy", {"seed": 0}),
        cache.path("scores", "clean", "lmac", {"seed": 1}),
    ]
    assert len({path, *others}) == 6


def test_names_that_no_file_can_have_are_made_harmless(tmp_path: Path) -> None:
    path = ResultsCache(tmp_path, {}).path("scores", "../rain 0 dB", "a/b", {})
    assert path.parent == tmp_path
    assert path != ResultsCache(tmp_path, {}).path("scores", "../rain 0 dB", "a b", {})


def test_a_result_is_there_whole_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    cache = ResultsCache(tmp_path / "cache", {})
    path = cache.path("scores", "clean", "lmac", {})
    table = table_of(SCHEMA, [{"method": "lmac", "window": [1, 2], "auroc": torch.tensor([0.5, 1.0])}])
    cache.write(path, table)
    assert cache.read(path).equals(table)
    assert list(path.parent.iterdir()) == [path]


def test_one_value_stands_for_every_row_of_its_batch() -> None:
    table = table_of(SCHEMA, [{"method": name, "window": [1, 2], "auroc": np.zeros(2)} for name in ("a", "b")])
    assert table["method"].to_pylist() == ["a", "a", "b", "b"]
    assert table.schema == SCHEMA


def test_what_is_not_a_number_is_missing() -> None:
    table = table_of(SCHEMA, [{"method": "a", "window": [1, 2], "auroc": [float("nan"), 0.5]}])
    assert table["auroc"].to_pylist() == [None, 0.5]


def test_a_column_that_was_not_measured_is_loud() -> None:
    with pytest.raises(KeyError, match="auroc"):
        table_of(SCHEMA, [{"method": "a", "window": [1]}])
