"""From an explained part to the rows of the tables and the FLAC files."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from pipeline.flow.explain import explain_part
from pipeline.flow.part_tables import ExplainedPart, Listenable, profile, tables_of
from pipeline.flow.tasks import commit_part
from pipeline.lmac.explainer import Explainer
from pipeline.runs.output import RunOutput
from schemas.explainer_config import DecoderConfig
from schemas.tables import TABLES
from tests.flow.make import FRONT_END, RATE, TINY, all_parts, content_of, encoded, mixed_recordings, sound, write_folder
from tests.models.make import small_models

EVIL = ['../../x"; DROP TABLE.wav', "new\nline.wav", "quo'te.wav", "..%2f..%2fetc.wav"]


@pytest.fixture(scope="module")
def explainer(tiny_explainer: str) -> Explainer:
    return Explainer.load(tiny_explainer)


@pytest.fixture(scope="module")
def explained(explainer: Explainer, tmp_path_factory: pytest.TempPathFactory) -> ExplainedPart:
    """All recordings of the small folder in one part."""
    content = content_of("tiny", part_windows=64, files_per_shard=64)
    (part,) = all_parts(write_folder(tmp_path_factory.mktemp("rows"), mixed_recordings()), content)
    return explain_part(explainer, part, "a.tar", content, batch_size=4)


@pytest.fixture(scope="module")
def made(explained: ExplainedPart) -> tuple[dict[str, pa.Table], list[Listenable]]:
    return tables_of(explained)


@given(
    values=arrays.arrays(np.float64, st.integers(1, 300), elements=st.floats(0, 1)),
    size=st.integers(1, 60),
)
def test_a_profile_keeps_the_mean(values: np.ndarray, size: int) -> None:
    assert profile(values, size).shape == (size,)
    assert profile(values, size).mean() == pytest.approx(values.mean(), abs=1e-6)


@given(values=arrays.arrays(np.float64, st.integers(1, 40), elements=st.floats(0, 1)), size=st.integers(1, 20))
def test_a_profile_of_aligned_spans_is_their_means(values: np.ndarray, size: int) -> None:
    np.testing.assert_allclose(profile(np.repeat(values, size), len(values)), values, atol=1e-6)
    np.testing.assert_allclose(profile(values, len(values) * size), np.repeat(values, size), atol=1e-6)


def test_tables_have_the_published_schemas_metadata_included(made: tuple[dict[str, pa.Table], list]) -> None:
    assert made[0].keys() == TABLES.keys()
    for name, table in made[0].items():
        assert table.schema.equals(TABLES[name], check_metadata=True), name
        table.validate(full=True)


def test_rows_are_sorted_and_each_window_stands_once(made: tuple[dict[str, pa.Table], list]) -> None:
    for name, per_window in {"predictions": 1, "masks": 1, "faithfulness": 1, "listenables": 2}.items():
        ids = made[0][name]["window_id"].to_pylist()
        assert ids == sorted(ids), name
        assert len(ids) == 10 * per_window
        assert len(set(ids)) == 10
    assert made[0]["errors"]["clip_id"].to_pylist() == sorted(made[0]["errors"]["clip_id"].to_pylist())


def test_rows_belong_to_the_window_that_they_name(
    explained: ExplainedPart, made: tuple[dict[str, pa.Table], list]
) -> None:
    index = {row.window_id: i for i, row in enumerate(explained.part.rows)}
    for row in made[0]["predictions"].to_pylist():
        i = index[row["window_id"]]
        assert row["key"] == explained.part.rows[i].key
        np.testing.assert_array_equal(np.float32(row["probabilities"]), explained.probabilities[i])
        assert row["probability"] == max(row["probabilities"])
        assert row["label"] == explained.labels[row["label_index"]]
    for row in made[0]["faithfulness"].to_pylist():
        assert row["p_in"] == explained.scores["p_in"][index[row["window_id"]]]


def test_masks_come_back_from_their_bytes(explained: ExplainedPart, made: tuple[dict[str, pa.Table], list]) -> None:
    index = {row.window_id: i for i, row in enumerate(explained.part.rows)}
    for row in made[0]["masks"].to_pylist():
        mask = np.frombuffer(row["mask"], np.uint8).reshape(row["n_freq"], row["n_frames"])
        assert mask.shape == (FRONT_END.n_freq, FRONT_END.n_frames)
        np.testing.assert_array_equal(mask, explained.mask[index[row["window_id"]]])
        assert row["mask_mean"] == pytest.approx(mask.mean() / 255, abs=1e-5)
        assert np.mean(row["band_profile"]) == pytest.approx(mask.mean() / 255, abs=1e-5)
        assert np.mean(row["time_profile"]) == pytest.approx(mask.mean() / 255, abs=1e-5)


def test_the_tiny_explainer_s_masks_and_labels_can_tell_right_from_wrong(explained: ExplainedPart) -> None:
    assert len(set(explained.target_index.tolist())) >= 2
    assert 0.1 < explained.mask.mean() / 255 < 0.9
    assert explained.mask.std() > 20


def test_flac_files_hold_exactly_the_samples_of_the_window(
    explained: ExplainedPart, made: tuple[dict[str, pa.Table], list[Listenable]]
) -> None:
    index = {row.window_id: i for i, row in enumerate(explained.part.rows)}
    files = {file.path: file.data for file in made[1]}
    assert files.keys() == set(made[0]["listenables"]["uri"].to_pylist())
    for row in made[0]["listenables"].to_pylist():
        i, data = index[row["window_id"]], files[row["uri"]]
        samples, rate = soundfile.read(io.BytesIO(data), dtype="int16")
        length = explained.part.rows[i].length
        assert (rate, len(samples)) == (RATE, length)
        np.testing.assert_array_equal(samples, explained.listenables[row["kind"]][i, :length])
        assert row["duration_s"] == length / RATE
        assert row["sha256"] == hashlib.sha256(data).hexdigest()


def test_labels_of_a_window_stand_together_in_their_order(explained: ExplainedPart, tmp_path: Path) -> None:
    config = TINY.model_copy(update={"decoder": DecoderConfig(channels=(4, 4, 4, 4, 4), evidence=5)})
    content = content_of("tiny", part_windows=64, files_per_shard=64, targets="noise; low")
    (part,) = all_parts(write_folder(tmp_path, mixed_recordings()), content)
    two = explain_part(Explainer(config, *small_models(config=config)), part, "a.tar", content, batch_size=4)
    assert two.mask.shape == (20, *explained.mask.shape[1:])
    tables, listenables = tables_of(two)
    windows = tables["predictions"]["window_id"].to_pylist()
    assert windows == tables_of(explained)[0]["predictions"]["window_id"].to_pylist()
    index = {row.window_id: i for i, row in enumerate(part.rows)}
    for name, sides in {"masks": 1, "faithfulness": 1, "listenables": 2}.items():
        places = zip(tables[name]["window_id"].to_pylist(), tables[name]["label"].to_pylist(), strict=True)
        assert list(places) == [(w, label) for w in windows for label in ("noise", "low") for _ in range(sides)]
    for row in tables["faithfulness"].to_pylist():
        probabilities = two.probabilities[index[row["window_id"]]]
        assert row["p"] == probabilities[TINY.labels.index(row["label"])]
    for row in tables["listenables"].to_pylist():
        number = TINY.labels.index(row["label"])
        assert row["uri"].startswith(f"audio/{part.shard_id}/{row['window_id']}.{number}.{row['kind']}.")
    assert len({file.path for file in listenables}) == 40


def test_names_from_the_input_reach_no_path_and_come_back_unchanged(explainer: Explainer, tmp_path: Path) -> None:
    manifest = tmp_path / "in" / "list.jsonl"
    manifest.parent.mkdir()
    (tmp_path / "in" / "deep" / "er").mkdir(parents=True)
    for name in EVIL:
        (manifest.parent / "deep" / "er" / name).resolve().write_bytes(encoded(sound(0.5)))
    manifest.write_text("".join(json.dumps({"uri": f"deep/er/{name}", "note": name}) + "\n" for name in EVIL))
    content = content_of("tiny", part_windows=64, files_per_shard=64)
    (part,) = all_parts(manifest, content)
    output = RunOutput(str(tmp_path / "out"))
    record = commit_part(output, explain_part(explainer, part, "", content, 16), "actor", 0.0)
    assert part.errors == []
    for file in record.files:
        assert set(file.path) <= set("abcdefghijklmnopqrstuvwxyz0123456789-_./")
        assert ".." not in file.path.split("/")
        assert (tmp_path / "out" / file.path).is_file()
    tables, _ = tables_of(explain_part(explainer, part, "", content, 16))
    assert set(tables["predictions"]["key"].to_pylist()) == {f"deep/er/{name}" for name in EVIL}
    assert {json.loads(text)["note"] for text in tables["predictions"]["metadata"].to_pylist()} == set(EVIL)


def test_a_shard_whose_name_is_not_utf8_still_makes_tables(explainer: Explainer, tmp_path: Path) -> None:
    content = content_of("tiny")
    (part,) = all_parts(write_folder(tmp_path, {"recording.wav": b"no audio"}), content)
    tables, _ = tables_of(explain_part(explainer, part, "b\udcffd.tar", content, 16))
    assert tables["errors"]["shard"].to_pylist() == ["b\ufffdd.tar"]


def test_tasks_that_decode_and_write_do_not_load_torch() -> None:
    code = "import sys, pipeline.flow.tasks; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=120).returncode == 0
