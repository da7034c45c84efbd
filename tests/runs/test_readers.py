"""The tables of a run in the programs that others read tables with, untouched."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import TinyRun
from tests.flow.make import rows

pytestmark = pytest.mark.slow

TABLES = ("predictions", "masks", "faithfulness", "listenables", "errors")


def test_hugging_face_reads_listenables_as_audio(
    tiny_run: TinyRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    datasets = pytest.importorskip("datasets")
    files = f"{tiny_run.output}/listenables/*.parquet"
    loaded = datasets.load_dataset("parquet", data_files=files, split="train", cache_dir=str(tmp_path))
    assert isinstance(loaded.features["audio"], datasets.Audio)
    assert loaded.features["target"] == datasets.Value("string")
    plain = loaded.cast_column("audio", datasets.Audio(decode=False))
    flacs = {(row["window_id"], row["kind"]): row["audio"]["bytes"] for row in plain}
    assert flacs == {
        (row["window_id"], row["kind"]): row["audio"]["bytes"] for row in rows(tiny_run.output, "listenables")
    }


@pytest.mark.parametrize("table", TABLES)
def test_polars_reads_a_table(tiny_run: TinyRun, table: str) -> None:
    polars = pytest.importorskip("polars")
    frame = polars.read_parquet(f"{tiny_run.output}/{table}/*.parquet")
    assert len(frame) == len(rows(tiny_run.output, table))  # type: ignore[arg-type]
