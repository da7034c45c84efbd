"""The examples of docs/tools.md, each run as it stands there beside a finished run."""

from __future__ import annotations

import importlib.util
import io
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
import soundfile

from tests.audit.make import CLASSES, made_run
from tests.audit.test_label_error import labelled
from tests.conftest import TinyRun
from tests.flow.make import RATE, rows

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "tools.md").read_text(encoding="utf-8")


def needs(*modules: str) -> None:
    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    if missing:
        pytest.skip(f"{' and '.join(missing)} not installed: docs/tools.md says how")


def interpreter_with(module: str, variable: str) -> str:
    """The interpreter that has a module which cannot be installed beside lmac, or this one where it has."""
    found = sys.executable if importlib.util.find_spec(module) is not None else os.environ.get(variable)
    if found is None:
        pytest.skip(f"{module} is not installed: name an interpreter that has it in {variable}, see docs/tools.md")
    return found


def printed_by(interpreter: str, *arguments: str) -> str:
    """What a program prints that runs without this process's packages."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run([interpreter, *arguments], env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


def example(section: str, language: str = "python") -> str:
    """The one block of a language below a heading of the page."""
    (text,) = re.findall(rf"^## {re.escape(section)}\n(.*?)(?=^## |\Z)", PAGE, flags=re.DOTALL | re.MULTILINE)
    (code,) = re.findall(rf"```{language}\n(.*?)```", text, flags=re.DOTALL)
    return str(code)


def names_after(section: str) -> dict[str, Any]:
    """What an example leaves behind, when it has run in this process."""
    names: dict[str, Any] = {}
    exec(compile(example(section), f"docs/tools.md, {section}", "exec"), names)
    return names


@pytest.fixture
def beside(tiny_run: TinyRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of a finished run that lies in `explained` of the working directory."""
    (tmp_path / "explained").symlink_to(tiny_run.output)
    monkeypatch.chdir(tmp_path)
    return tiny_run.output


def mean_ff(run: str) -> dict[str, float]:
    found: dict[str, list[float]] = {}
    for row in rows(run, "faithfulness"):
        found.setdefault(row["target"], []).append(row["ff"])
    return {target: float(np.mean(values)) for target, values in found.items()}


def embeddings_of(run: str) -> np.ndarray:
    return np.array([row["embedding"] for row in rows(run, "predictions")], np.float32)


def assert_written(names: dict[str, Any], run: str) -> None:
    """The example decoded one of the run's listenables that are masked in, at its rate."""
    written = [row["audio"]["bytes"] for row in rows(run, "listenables") if row["kind"] == "masked_in"]
    assert names["sample_rate"] == RATE
    assert any(np.array_equal(names["waveform"], soundfile.read(io.BytesIO(flac))[0]) for flac in written)


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


def test_spark(beside: str) -> None:
    needs("pyspark")
    if shutil.which("java") is None:
        pytest.skip("Java is not installed, which Spark runs on: docs/tools.md says which")
    names = names_after("Spark")
    assert {row["target"]: row["ff"] for row in names["per_target"]} == pytest.approx(mean_ff(beside), abs=1e-6)
    assert sum(row["windows"] for row in names["per_target"]) == 10
    means = np.mean([row["probabilities"] for row in rows(beside, "predictions")], axis=0)
    np.testing.assert_allclose([row["mean"] for row in names["means"]], means, atol=1e-6)
    assert len(names["lengths"]) == 20
    for row in names["lengths"]:
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
    names = names_after("Datalab")
    wrong = names["wrong"].set_index("key")
    assert {key: names["classes"][one] for key, one in wrong["predicted_label"].items()} == {
        "3.wav": "bark",
        "20.wav": "rain",
        "40.wav": "siren",
    }
    assert set(names["lab"].get_issue_summary()["issue_type"]) == {"label", "outlier", "near_duplicate"}


_WITHOUT_A_BROWSER = """
import functools
from renumics import spotlight
spotlight.show = functools.partial(spotlight.show, no_browser=True, wait=False)
"""
_ASK_THE_SERVER = """
import json, pathlib, urllib.request
def get(path):
    return urllib.request.urlopen(viewer.url.rstrip("/") + path).read()
assert b"<html" in get("/").lower()
served = json.loads(get("/api/table/"))
pathlib.Path("sound.wav").write_bytes(get(f"/api/table/audio/0?generation_id={served['generation_id']}"))
types = {column["name"]: column["dtype"]["name"] for column in served["columns"]}
rows = [len(column["values"]) for column in served["columns"]]
pathlib.Path("seen.json").write_text(json.dumps({"types": types, "rows": rows}))
viewer.close()
"""


def test_spotlight_serves_the_table_and_plays_it(beside: str, tmp_path: Path) -> None:
    spotlight = interpreter_with("renumics", "LMAC_SPOTLIGHT_PYTHON")
    printed_by(spotlight, "-c", _WITHOUT_A_BROWSER + example("Spotlight") + _ASK_THE_SERVER)
    seen = json.loads((tmp_path / "seen.json").read_text())
    assert set(seen["rows"]) == {10}
    assert (seen["types"]["audio"], seen["types"]["embedding"], seen["types"]["ff"]) == ("Audio", "Embedding", "float")
    waveform, sample_rate = soundfile.read(tmp_path / "sound.wav")
    assert_written({"waveform": waveform, "sample_rate": sample_rate}, beside)


def test_embedding_atlas_takes_the_vectors_and_the_audio(beside: str) -> None:
    atlas = interpreter_with("embedding_atlas", "LMAC_ATLAS_PYTHON")
    names_after("Embedding Atlas")
    program, *options = shlex.split(example("Embedding Atlas", "sh"))
    assert program == "embedding-atlas"
    call = "from embedding_atlas.cli import main; main()"
    printed_by(atlas, "-c", call, *options, "--export-application", "page")
    shown = duckdb.sql("""
        SELECT target, ff, audio.bytes AS flac, isfinite(projection_x) AND isfinite(projection_y) AS placed
        FROM 'page/data/dataset.parquet'
    """).fetchall()
    flacs = {row["audio"]["bytes"] for row in rows(beside, "listenables") if row["kind"] == "masked_in"}
    assert {row[2] for row in shown} == flacs
    assert len(shown) == 10
    assert all(row[3] for row in shown)
    assert np.mean([row[1] for row in shown]) == pytest.approx(np.mean([r["ff"] for r in rows(beside, "faithfulness")]))
    assert Path("page/index.html").is_file()
