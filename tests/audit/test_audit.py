"""Questions asked of a run's tables, and pictures of its explanations."""

from __future__ import annotations

import io
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from matplotlib.image import imread

from pipeline.audit import examples as examples_module
from pipeline.audit.examples import panels_of, pick_examples
from pipeline.inputs.recording import RawRecording
from pipeline.lmac.picture import Panels, draw
from pipeline.models.checkpoint import load_config
from pipeline.runs.summary import summarise
from pipeline.runs.tables import read_table
from pipeline.storage.errors import StorageError
from tests.conftest import TinyRun
from tests.faltering import faltering_storage
from tests.flow.make import BAD, FRONT_END, RATE, rows, sound

pytestmark = pytest.mark.slow


def test_a_table_is_what_the_manifest_names_and_no_stray_file(tiny_run: TinyRun, tmp_path: Path) -> None:
    copy = shutil.copytree(tiny_run.output, tmp_path / "copy")
    stray = next((copy / "predictions").iterdir())
    shutil.copy(stray, stray.with_name("stray.parquet"))
    (copy / "predictions" / "broken.parquet").write_bytes(b"half a file")
    table = read_table(str(copy), "predictions", ["window_id", "label"])
    assert table.column_names == ["window_id", "label"]
    assert sorted(table["window_id"].to_pylist()) == [row["window_id"] for row in rows(copy, "predictions")]
    assert len(table) == 10


def test_tables_are_read_again_where_storage_falters(tiny_run: TinyRun) -> None:
    with faltering_storage() as opened:
        assert summarise(f"faltering://{tiny_run.output}") == summarise(tiny_run.output)
    assert sum("/predictions/" in path for path in opened) > 1
    assert min(opened.values()) == 2


def test_a_run_without_a_manifest_is_not_read(tiny_run: TinyRun, tmp_path: Path) -> None:
    copy = shutil.copytree(tiny_run.output, tmp_path / "copy")
    (copy / "_manifest.json").unlink()
    with pytest.raises(StorageError, match="the run is not finished, resume it"):
        summarise(str(copy))


def test_a_table_that_is_missing_is_named(tiny_run: TinyRun, tmp_path: Path) -> None:
    copy = shutil.copytree(tiny_run.output, tmp_path / "copy")
    lost = next((copy / "predictions").iterdir())
    lost.unlink()
    with pytest.raises(StorageError, match=f"{lost.name}: it does not exist"):
        summarise(str(copy))


def test_the_summary_is_the_means_of_the_tables(tiny_run: TinyRun) -> None:
    summary = summarise(tiny_run.output)
    scores = rows(tiny_run.output, "faithfulness")
    predicted = rows(tiny_run.output, "predictions")
    assert summary.total is not None
    assert summary.total.windows == 10
    for name in ("ad", "ff", "fid_in", "mask_mean", "energy_kept"):
        assert getattr(summary.total, name) == pytest.approx(np.mean([row[name] for row in scores]), abs=1e-5), name
    for line in summary.labels:
        chosen = [row["probability"] for row in predicted if row["label"] == line.label]
        assert (line.windows, line.p) == (len(chosen), pytest.approx(np.mean(chosen), abs=1e-6))
    assert sum(line.windows for line in summary.labels) == 10
    assert summary.errors == dict.fromkeys(sorted(BAD.values()), 1)
    assert summary.accuracy is None  # the folders name no class of this explainer


def test_accuracy_counts_windows_whose_label_came_true(tiny_run: TinyRun, tmp_path: Path) -> None:
    copy = shutil.copytree(tiny_run.output, tmp_path / "copy")
    classes = load_config(tiny_run.explainer)[0].labels
    seen: list[bool] = []
    for path in sorted((copy / "predictions").iterdir()):
        table = pq.read_table(path)
        labels = table["label"].to_pylist()
        other = {label: next(name for name in classes if name != label) for label in classes}
        kinds = [number % 3 for number in range(len(labels))]
        true = [(label, other[label], "none of them")[kind] for kind, label in zip(kinds, labels, strict=True)]
        seen += [kind == 0 for kind in kinds if kind < 2]
        column = table.schema.get_field_index("label_true")
        pq.write_table(table.set_column(column, table.schema.field(column), [true]), path)
    summary = summarise(str(copy))
    assert (summary.accuracy, summary.labelled) == (pytest.approx(np.mean(seen)), len(seen))


def test_examples_are_the_most_faithful_window_of_each_label(tiny_run: TinyRun) -> None:
    chosen = pick_examples(tiny_run.output, 10)
    labels = {row["label"] for row in rows(tiny_run.output, "predictions")}
    assert len(labels) >= 2
    assert sorted(example.label for example in chosen) == sorted(labels)
    scores = {row["window_id"]: row for row in rows(tiny_run.output, "faithfulness")}
    for example in chosen:
        baselines = [(row["fid_in"], row["ff"]) for row in scores.values() if row["label"] == example.label]
        best = scores[example.window_id]
        assert (best["fid_in"], best["ff"]) == max(baselines)
        assert example.uri.endswith(".flac")
        assert ".masked_in." in example.uri
    assert pick_examples(tiny_run.output, 1) == chosen[:1]


def test_panels_hold_the_window_of_the_recording_and_its_mask(tiny_run: TinyRun) -> None:
    chosen = pick_examples(tiny_run.output, 10)
    masks = {row["window_id"]: row for row in rows(tiny_run.output, "masks")}
    for example, panels in zip(chosen, panels_of(tiny_run.source, tiny_run.output, chosen), strict=True):
        assert len(panels.waveform) == len(panels.masked_in) <= FRONT_END.window_samples
        assert panels.mask.shape == (FRONT_END.n_freq, FRONT_END.n_frames)
        assert panels.mask.mean() == pytest.approx(masks[example.window_id]["mask_mean"], abs=1e-5)
        # What is left is a filtered part of what was there.
        assert np.corrcoef(panels.waveform, panels.masked_in)[0, 1] > 0.3


def test_panels_read_only_the_clips_that_are_shown(tiny_run: TinyRun, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    original = examples_module.read_shard

    def counting(root_url: str, shard: object) -> object:
        for recording in original(root_url, shard):  # type: ignore[arg-type]
            if isinstance(recording, RawRecording):
                read.append(recording.key)
            yield recording

    monkeypatch.setattr(examples_module, "read_shard", counting)
    chosen = pick_examples(tiny_run.output, 1)
    panels_of(tiny_run.source, tiny_run.output, chosen)
    assert read == [chosen[0].key]


def test_a_picture_is_a_png_of_three_different_panels() -> None:
    waveform = sound(1.0).astype(np.float32)
    mask = np.zeros((FRONT_END.n_freq, FRONT_END.n_frames))
    mask[:80] = 1
    panels = Panels(waveform, waveform * 0.2, mask, RATE, FRONT_END.hop_s, FRONT_END.bin_hz, "a $clip_ü", "x")
    image = imread(io.BytesIO(draw(panels)), format="png")
    assert image.shape == (360, 1200, 4)
    thirds = [image[100:280, 400 * i + 100 : 400 * i + 300, :3] for i in range(3)]
    assert all(third.std() > 0.01 for third in thirds)
    assert not np.allclose(thirds[0], thirds[2])
