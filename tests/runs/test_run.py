"""A finished run, opened: tables, SQL, single masks and listenables, and its summary."""

from __future__ import annotations

import io
import shutil
from collections import Counter
from pathlib import Path

import duckdb
import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile

from pipeline.runs.run import NotInRunError, Run, open_run
from pipeline.storage.errors import StorageError
from tests.conftest import TinyRun
from tests.faltering import faltering_storage
from tests.flow.make import BAD, content_of, explain_here, rows

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def opened(tiny_run: TinyRun) -> Run:
    return open_run(tiny_run.output)


def test_a_table_is_what_the_manifest_names_and_no_stray_file(tiny_run: TinyRun, tmp_path: Path) -> None:
    copy = shutil.copytree(tiny_run.output, tmp_path / "copy")
    stray = next((copy / "predictions").iterdir())
    shutil.copy(stray, stray.with_name("stray.parquet"))
    (copy / "predictions" / "broken.parquet").write_bytes(b"half a file")
    table = open_run(str(copy)).table("predictions").to_table(columns=["window_id", "label"])
    assert table.column_names == ["window_id", "label"]
    assert sorted(table["window_id"].to_pylist()) == [row["window_id"] for row in rows(copy, "predictions")]
    assert len(table) == 10


def test_tables_are_read_again_where_storage_falters(tiny_run: TinyRun) -> None:
    with faltering_storage() as reads:
        found = open_run(f"faltering://{tiny_run.output}")
        assert found.summary() == open_run(tiny_run.output).summary()
        assert found.sql("SELECT count(*) FROM explanations").fetchall() == [(10,)]
    assert sum("/predictions/" in path for path in reads) > 1
    assert min(reads.values()) == 2


def test_a_run_without_a_manifest_is_not_read(tiny_run: TinyRun, tmp_path: Path) -> None:
    copy = shutil.copytree(tiny_run.output, tmp_path / "copy")
    (copy / "_manifest.json").unlink()
    with pytest.raises(StorageError, match="the run is not finished, resume it"):
        open_run(str(copy))


def test_a_table_that_is_unknown_is_refused_with_those_that_are_there(opened: Run) -> None:
    with pytest.raises(NotInRunError, match="no table 'clips': choose from predictions, masks, faithfulness"):
        opened.table("clips")  # type: ignore[arg-type]


def test_sql_joins_tables_by_name(opened: Run, tiny_run: TinyRun) -> None:
    query = """
        SELECT window_id, target, p, p_in, len(band_profile), key FROM explanations WHERE ff > ? ORDER BY window_id
    """
    found = opened.sql(query, [-2.0]).fetchall()
    scores = {row["window_id"]: row for row in rows(tiny_run.output, "faithfulness")}
    assert [row[0] for row in found] == sorted(scores)
    for window_id, target, p, p_in, bands, _ in found:
        row = scores[window_id]
        assert (target, p, p_in, bands) == (row["target"], row["p"], row["p_in"], len(opened.band_edges_hz) - 1)
    counted = opened.sql("SELECT count(*) FROM predictions JOIN listenables USING (window_id)").fetchall()
    assert counted == [(20,)]


def test_a_mask_and_a_listenable_are_those_of_their_rows(opened: Run, tiny_run: TinyRun) -> None:
    for row in rows(tiny_run.output, "masks")[:3]:
        mask = opened.mask(row["window_id"], row["target"])
        assert mask.shape == (row["n_freq"], row["n_frames"])
        assert mask.mean() == pytest.approx(row["mask_mean"], abs=1e-5)
        sound = opened.listenable(row["window_id"], kind="masked_out")
        expected, rate = soundfile.read(io.BytesIO(sound.flac), dtype="float32")
        assert sound.sample_rate == rate
        np.testing.assert_array_equal(sound.waveform, expected)
        assert sound.row["kind"] == "masked_out"


def files_with(output: str, table: str, window_id: str) -> set[str]:
    return {
        str(path)
        for path in (Path(output) / table).iterdir()
        if window_id in pq.read_table(path)["window_id"].to_pylist()
    }


def test_once_a_row_was_read_another_opens_no_more_than_the_file_that_holds_it(tiny_run: TinyRun) -> None:
    first, *_, last = (row["window_id"] for row in rows(tiny_run.output, "masks"))
    holding = files_with(tiny_run.output, "masks", last) | files_with(tiny_run.output, "listenables", last)
    with faltering_storage() as reads:
        run = open_run(f"faltering://{tiny_run.output}")
        run.mask(first)
        run.listenable(first)
        before = Counter(reads)
        run.mask(last)
        run.listenable(last, kind="masked_out")
        assert reads - before == dict.fromkeys(holding, 1)
    assert len(holding) == 2 < len(list(Path(tiny_run.output).glob("masks/*")))


def test_the_list_of_files_is_read_once_for_each_table(tiny_run: TinyRun) -> None:
    with faltering_storage() as reads:
        run = open_run(f"faltering://{tiny_run.output}")
        run.sql("SELECT 1").fetchall()
        before = Counter(reads)
        run.sql("SELECT count(*) FROM predictions").fetchall()
        run.table("masks")
        assert not [path for path in reads - before if "_manifest" in path]


@pytest.fixture(scope="module")
def drawn(tiny_run: TinyRun, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run that writes the masked-in listenables and the masks of half of its windows."""
    output = str(tmp_path_factory.mktemp("drawn") / "run")
    settings = {"listenables": ("masked_in",), "listen": "share:0.5", "masks": "share:0.5"}
    explain_here(tiny_run.source, output, content_of(tiny_run.explainer, **settings))
    return open_run(output)


def test_a_kind_that_no_run_has_is_refused_with_those_that_there_are(opened: Run) -> None:
    for window_id in (rows(opened.url, "masks")[0]["window_id"], "never-00000"):
        with pytest.raises(NotInRunError, match="no listenables of the kind 'original': choose from masked_in, masked"):
            opened.listenable(window_id, kind="original")


def test_a_kind_that_this_run_does_not_write_is_refused_with_what_it_was_made_with(drawn: Run) -> None:
    for window_id in (rows(drawn.url, "masks")[0]["window_id"], "never-00000"):
        with pytest.raises(NotInRunError, match=r"of the kind masked_out: it was made with --listenables masked_in$"):
            drawn.listenable(window_id, kind="masked_out")


def test_a_window_that_is_not_in_the_run_is_said_whatever_its_target(opened: Run, drawn: Run) -> None:
    for run in (opened, drawn):
        for ask in (run.mask, run.mask_row, run.listenable):
            for target in (None, "low"):
                with pytest.raises(NotInRunError, match="has no window 'never-00000': check the id"):
                    ask("never-00000", target)


def test_a_target_that_a_window_does_not_have_is_refused_with_those_it_has(drawn: Run) -> None:
    for row in rows(drawn.url, "masks"):
        for ask in (drawn.mask, drawn.mask_row, drawn.listenable):
            with pytest.raises(NotInRunError) as refused:
                ask(row["window_id"], "nothing")
            told = f"{row['window_id']} has no target 'nothing': its targets are {row['target']}"
            assert str(refused.value) == told


def test_what_was_not_drawn_is_said_with_the_draw(drawn: Run) -> None:
    found = rows(drawn.url, "masks")
    left_out = [row for row in found if row["mask"] is None]
    assert 0 < len(left_out) < len(found)
    for row in left_out:
        for target in (None, row["target"]):
            with pytest.raises(NotInRunError, match=r"was not stored: the run drew --masks share:0\.5"):
                drawn.mask(row["window_id"], target)
            with pytest.raises(NotInRunError, match=f"for '{row['target']}' was not written: the run drew --listen sh"):
                drawn.listenable(row["window_id"], target)
            assert drawn.mask_row(row["window_id"], target)["mask_mean"] == row["mask_mean"]


def test_a_wrong_query_raises_an_error_of_duckdb(opened: Run) -> None:
    with pytest.raises(duckdb.Error, match="nowhere"):
        opened.sql("SELECT * FROM nowhere")
    with pytest.raises(duckdb.Error, match="Could not convert"):
        opened.sql("SELECT CAST(key AS INTEGER) FROM predictions").fetchall()


def test_rows_of_one_query_are_streamed_while_another_is_answered(opened: Run) -> None:
    streamed = opened.sql("SELECT window_id FROM predictions, range(10000)").fetch_arrow_reader(10)
    assert streamed.read_next_batch().num_rows == 10
    assert opened.sql("SELECT count(*) FROM predictions").fetchall() == [(10,)]
    assert sum(batch.num_rows for batch in streamed) == 10 * 10_000 - 10


def test_of_several_targets_one_is_to_be_named(two_labels_run: TinyRun) -> None:
    opened = open_run(two_labels_run.output)
    row = rows(two_labels_run.output, "masks")[0]
    for ask in (opened.mask, opened.listenable):
        with pytest.raises(NotInRunError, match="has several targets: give one of"):
            ask(row["window_id"])
    assert opened.mask(row["window_id"], row["target"]).mean() == pytest.approx(row["mask_mean"], abs=1e-5)


def test_the_summary_is_the_means_of_the_tables(opened: Run, tiny_run: TinyRun) -> None:
    summary = opened.summary()
    scores = rows(tiny_run.output, "faithfulness")
    assert summary.total is not None
    assert summary.total.windows == 10
    for name in ("ad", "ff", "fid_in", "mask_mean", "energy_kept"):
        assert getattr(summary.total, name) == pytest.approx(np.mean([row[name] for row in scores]), abs=1e-5), name
    for line in summary.targets:
        chosen = [row["p"] for row in scores if row["target"] == line.target]
        assert (line.windows, line.p) == (len(chosen), pytest.approx(np.mean(chosen), abs=1e-6))
    assert sum(line.windows for line in summary.targets) == 10
    assert summary.errors == dict.fromkeys(sorted(BAD.values()), 1)
    assert summary.accuracy is None  # the folders name no class of this explainer


def test_a_summary_opens_no_table(tiny_run: TinyRun, tmp_path: Path) -> None:
    copy = shutil.copytree(tiny_run.output, tmp_path / "copy")
    for table in ("predictions", "faithfulness", "masks", "listenables", "errors"):
        shutil.rmtree(copy / table)
    assert open_run(str(copy)).summary() == open_run(tiny_run.output).summary()


def test_a_run_shows_itself_with_players(opened: Run) -> None:
    html = opened._repr_html_()
    assert html.count("<audio controls") == 3
    assert "mask mean" in html
    assert "8 recordings, 10 windows" in repr(opened)
    assert str(opened.summary()).splitlines()[-1].startswith("all")


def test_the_edges_of_the_bands_stand_in_the_schema_and_in_the_record(opened: Run, tiny_run: TinyRun) -> None:
    path = next((Path(tiny_run.output) / "masks").iterdir())
    text = pq.read_schema(path).metadata[b"band_edges_hz"].decode()
    assert text == str(opened.band_edges_hz)
