"""A run in programs that show and play it: they take the table that docs/tools.md makes, and serve what is in it."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import duckdb
import numpy as np
import pytest
import soundfile

from tests.flow.make import rows
from tests.tools.page import assert_written, example, interpreter_with, names_after, printed_by

pytestmark = pytest.mark.slow

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


def test_embedding_atlas_takes_the_vectors_and_the_audio(
    beside: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Where it would keep its map, and take it from the next time.
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
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
