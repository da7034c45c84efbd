"""The tables of a run in the programs that read tables: the examples of docs/tools.md give the right answers."""

from __future__ import annotations

import json
import shutil
import sys
from collections import Counter
from pathlib import Path

import duckdb
import numpy as np
import pytest

from tests.audit.make import CLASSES, made_run, window
from tests.audit.test_label_error import labelled
from tests.flow.make import rows
from tests.tools.page import assert_written, example, mean_ff, names_after, needs, printed_by

pytestmark = pytest.mark.slow


def embeddings_of(run: str) -> np.ndarray:
    return np.array([row["embedding"] for row in rows(run, "predictions")], np.float32)


def test_duckdb(beside: str) -> None:
    names = names_after("DuckDB")
    per_target = names["per_target"].set_index("target")
    assert per_target["ff"].to_dict() == pytest.approx(mean_ff(beside), abs=1e-6)
    assert per_target["windows"].sum() == 10
    profiles = np.mean([row["band_profile"] for row in rows(beside, "masks")], axis=0)
    np.testing.assert_allclose(names["bands"]["kept"], profiles, atol=1e-6)
    assert_written(names, beside)
    first = rows(beside, "masks")[0]
    assert names["mask"].shape == (first["n_freq"], first["n_frames"])
    assert names["mask"].mean() == pytest.approx(first["mask_mean"], abs=0.01)


def test_polars(beside: str) -> None:
    needs("polars")
    names = names_after("polars")
    trusted = {row["target"]: row["ff"] for row in names["trusted"].to_dicts()}
    assert trusted == pytest.approx(mean_ff(beside), abs=1e-6)
    assert sorted(map(tuple, names["embeddings"])) == sorted(map(tuple, embeddings_of(beside)))
    assert len(names["audio"]) == 10
    assert_written(names, beside)


def test_pandas(beside: str) -> None:
    names = names_after("pandas")
    assert names["per_target"].to_dict() == pytest.approx(mean_ff(beside), abs=1e-6)
    assert sorted(map(tuple, names["embeddings"])) == sorted(map(tuple, embeddings_of(beside)))
    assert Counter(names["predictions"]["first_label"]) == {"dog": 6, "cat": 4}
    assert len(names["metadata"]) == 10
    assert len(names["listenables"]) == 10
    assert_written(names, beside)


# Spark's Java process would outlive the test in this one.
_AS_JSON = """
import json, pathlib
found = {"per_target": per_target, "means": means, "lengths": lengths}
found = {name: [row.asDict() for row in rows] for name, rows in found.items()}
pathlib.Path("found.json").write_text(json.dumps(found))
"""


def test_spark(beside: str, tmp_path: Path) -> None:
    needs("pyspark")
    if shutil.which("java") is None:
        pytest.skip("Java is not installed, which Spark runs on: docs/tools.md says which")
    printed_by(sys.executable, "-c", example("Spark") + _AS_JSON)
    found = json.loads((tmp_path / "found.json").read_text())
    assert {row["target"]: row["ff"] for row in found["per_target"]} == pytest.approx(mean_ff(beside), abs=1e-6)
    assert sum(row["windows"] for row in found["per_target"]) == 10
    means = np.mean([row["probabilities"] for row in rows(beside, "predictions")], axis=0)
    np.testing.assert_allclose([row["mean"] for row in found["means"]], means, atol=1e-6)
    assert len(found["lengths"]) == 20
    for row in found["lengths"]:
        assert row["decoded_s"] == pytest.approx(row["duration_s"], abs=1e-3)


def test_hugging_face_datasets(beside: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    needs("datasets")
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    names = names_after("Hugging Face datasets")
    assert names["listenables"].features["audio"] == datasets.Audio()
    assert len(names["listenables"]) == 20
    assert_written(names, beside)
    assert Counter(names["targets"]) == Counter(row["target"] for row in rows(beside, "faithfulness"))


def test_croissant(beside: str) -> None:
    needs("mlcroissant")
    names = names_after("Croissant")
    assert "masks/band_profile" in names["tables"]["masks"]
    assert names["target"] in mean_ff(beside)
    assert_written(names, beside)


def test_datalab_finds_the_wrong_labels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    needs("cleanlab", "datasets")
    # The explainer's classes are in another order than the alphabet's.
    order = (2, 0, 1)
    windows = labelled({3: "rain", 20: "siren", 40: "bark"})
    for row in windows:
        odds = np.exp(3 * np.array(row["embedding"]))[list(order)]
        row["probabilities"] = (odds / odds.sum()).tolist()
    made_run(tmp_path / "explained", windows, classes=[CLASSES[one] for one in order])
    monkeypatch.chdir(tmp_path)
    # Cleanlab forks: what this process has begun, threads of Ray and Arrow, would leave its children waiting for ever.
    shown = """
found = wrong.set_index("key")["predicted_label"].map(classes.__getitem__).to_dict()
print(json.dumps({"wrong": found, "issues": sorted(lab.get_issue_summary()["issue_type"])}))
"""
    told = json.loads(printed_by(sys.executable, "-c", example("Datalab") + shown).splitlines()[-1])
    assert told["wrong"] == {"3.wav": "bark", "20.wav": "rain", "40.wav": "siren"}
    assert told["issues"] == ["label", "near_duplicate", "outlier"]


def test_a_table_without_rows_is_read_as_one(tmp_path: Path) -> None:
    run = made_run(tmp_path / "run", [window("one.wav")])
    for table in ("errors", "listenables"):
        assert duckdb.sql(f"SELECT count(*) FROM '{run}/{table}/*.parquet'").fetchall() == [(0,)]
