"""From an explained part to the rows of the tables and the FLAC files."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import soundfile

from pipeline.flow.explain import explain_part
from pipeline.flow.part_tables import ExplainedPart, draw_rows, sums_of, tables_of
from pipeline.flow.parts import Part
from pipeline.flow.tasks import commit_part
from pipeline.lmac.explainer import Explainer
from pipeline.runs.output import RunOutput
from schemas.draws import Draw, rank_of
from schemas.explainer_config import DecoderConfig
from schemas.run_config import ContentConfig
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
def made(explained: ExplainedPart) -> dict[str, pa.Table]:
    return tables_of(explained)


def test_tables_have_the_published_schemas_metadata_included(made: dict[str, pa.Table]) -> None:
    assert made.keys() == TABLES.keys()
    for name, table in made.items():
        metadata = dict(table.schema.metadata)
        edges = json.loads(metadata.pop(b"band_edges_hz")) if name == "masks" else []
        assert table.schema.with_metadata(metadata).equals(TABLES[name], check_metadata=True), name
        assert len(edges) == (FRONT_END.n_mels + 1 if name == "masks" else 0)
        table.validate(full=True)


def test_rows_are_sorted_and_each_window_stands_once(made: dict[str, pa.Table]) -> None:
    for name, per_window in {"predictions": 1, "masks": 1, "faithfulness": 1, "listenables": 2}.items():
        ids = made[name]["window_id"].to_pylist()
        assert ids == sorted(ids), name
        assert len(ids) == 10 * per_window
        assert len(set(ids)) == 10
    assert made["errors"]["clip_id"].to_pylist() == sorted(made["errors"]["clip_id"].to_pylist())


def test_rows_belong_to_the_window_that_they_name(explained: ExplainedPart, made: dict[str, pa.Table]) -> None:
    index = {row.window_id: i for i, row in enumerate(explained.part.rows)}
    for row in made["predictions"].to_pylist():
        i = index[row["window_id"]]
        assert row["key"] == explained.part.rows[i].key
        np.testing.assert_array_equal(np.float32(row["probabilities"]), explained.probabilities[i])
        assert row["probability"] == max(row["probabilities"])
        assert row["label"] == explained.labels[row["label_index"]]
    for row in made["faithfulness"].to_pylist():
        assert row["p_in"] == explained.scores["p_in"][index[row["window_id"]]]


def test_masks_come_back_from_their_bytes(explained: ExplainedPart, made: dict[str, pa.Table]) -> None:
    index = {row.window_id: i for i, row in enumerate(explained.part.rows)}
    for row in made["masks"].to_pylist():
        mask = np.frombuffer(row["mask"], np.uint8).reshape(row["n_freq"], row["n_frames"])
        assert mask.shape == (FRONT_END.n_freq, FRONT_END.n_frames)
        np.testing.assert_array_equal(mask, explained.mask[index[row["window_id"]]])
        assert row["mask_mean"] == pytest.approx(mask.mean() / 255, abs=1e-5)
        assert len(row["band_profile"]) == FRONT_END.n_mels
        assert np.mean(row["time_profile"]) == pytest.approx(mask.mean() / 255, abs=1e-5)


def test_the_tiny_explainer_s_masks_and_labels_can_tell_right_from_wrong(explained: ExplainedPart) -> None:
    assert len(set(explained.target_index.tolist())) >= 2
    assert 0.1 < explained.mask.mean() / 255 < 0.9
    assert explained.mask.std() > 20


def test_flac_files_hold_exactly_the_samples_of_the_window(explained: ExplainedPart, made: dict[str, pa.Table]) -> None:
    index = {row.window_id: i for i, row in enumerate(explained.part.rows)}
    for row in made["listenables"].to_pylist():
        i, data = index[row["window_id"]], row["audio"]["bytes"]
        samples, rate = soundfile.read(io.BytesIO(data), dtype="int16")
        length = explained.part.rows[i].length
        assert (rate, len(samples)) == (RATE, length)
        np.testing.assert_array_equal(samples, explained.listenables[row["kind"]][i, :length])
        assert row["duration_s"] == length / RATE
        assert row["sha256"] == hashlib.sha256(data).hexdigest()


def part_of(tmp_path: Path, **settings: str) -> tuple[Part, ContentConfig]:
    content = content_of("tiny", part_windows=64, files_per_shard=64, **settings)
    (part,) = all_parts(write_folder(tmp_path, mixed_recordings()), content)
    return part, content


@pytest.mark.parametrize("share", ["none", "share:0.4", "all"])
def test_masks_and_listenables_are_those_of_the_windows_drawn(explainer: Explainer, tmp_path: Path, share: str) -> None:
    part, content = part_of(tmp_path, listen=share, masks=share)
    drawn = [row.window_id for row in part.rows if Draw.parse(share).takes(row.window_id)]
    tables = tables_of(explain_part(explainer, part, "a.tar", content, 16))
    assert {row["window_id"] for row in tables["masks"].to_pylist() if row["mask"] is not None} == set(drawn)
    assert sorted(tables["listenables"]["window_id"].to_pylist()) == sorted([*drawn, *drawn])
    assert tables["masks"].num_rows == len(part.rows)
    assert all(len(row["band_profile"]) == FRONT_END.n_mels for row in tables["masks"].to_pylist())
    if share == "share:0.4":
        assert 0 < len(drawn) < len(part.rows)


def test_so_many_windows_of_each_target_are_those_of_the_lowest_rank(explainer: Explainer, tmp_path: Path) -> None:
    part, content = part_of(tmp_path, listen="per-target:2")
    explained = explain_part(explainer, part, "a.tar", content, 16)
    found: dict[str, list[str]] = {}
    for row in tables_of(explained)["faithfulness"].to_pylist():
        found.setdefault(row["target"], []).append(row["window_id"])
    lowest = {target: sorted(ids, key=rank_of)[:2] for target, ids in found.items()}
    assert explained.drawn == lowest
    kept = {(row["window_id"], row["target"]) for row in tables_of(explained)["listenables"].to_pylist()}
    assert kept == {(window_id, target) for target, ids in lowest.items() for window_id in ids}


def test_a_draw_of_rows_knows_nothing_of_their_order() -> None:
    ids, targets = [f"{i:032x}-00000" for i in range(40)], [f"t{i % 3}" for i in range(40)]
    rows, drawn = draw_rows(Draw.parse("per-target:4"), ids, targets)
    back = draw_rows(Draw.parse("per-target:4"), ids[::-1], targets[::-1])
    assert back[1] == drawn
    assert sorted(39 - back[0]) == rows.tolist()


def test_sums_are_those_of_the_rows(explained: ExplainedPart, made: dict[str, pa.Table]) -> None:
    sums = sums_of(explained)
    assert sums.reasons == Counter(made["errors"]["reason"].to_pylist())
    scores = made["faithfulness"].to_pylist()
    assert sums.targets.keys() == {row["target"] for row in scores}
    for target, one in sums.targets.items():
        chosen = [row for row in scores if row["target"] == target]
        assert one.windows == len(chosen)
        for name in ("p", "ad", "ff", "fid_in", "mask_mean", "energy_kept"):
            assert getattr(one, name) == pytest.approx(sum(row[name] for row in chosen), abs=1e-4), name


def test_labels_of_a_window_stand_together_in_their_order(explained: ExplainedPart, tmp_path: Path) -> None:
    config = TINY.model_copy(update={"decoder": DecoderConfig(channels=(4, 4, 4, 4, 4), evidence=5)})
    content = content_of("tiny", part_windows=64, files_per_shard=64, targets="noise; low")
    (part,) = all_parts(write_folder(tmp_path, mixed_recordings()), content)
    two = explain_part(Explainer(config, *small_models(config=config)), part, "a.tar", content, batch_size=4)
    assert two.mask.shape == (20, *explained.mask.shape[1:])
    tables = tables_of(two)
    windows = tables["predictions"]["window_id"].to_pylist()
    assert windows == tables_of(explained)["predictions"]["window_id"].to_pylist()
    index = {row.window_id: i for i, row in enumerate(part.rows)}
    for name, sides in {"masks": 1, "faithfulness": 1, "listenables": 2}.items():
        places = zip(tables[name]["window_id"].to_pylist(), tables[name]["target"].to_pylist(), strict=True)
        assert list(places) == [(w, label) for w in windows for label in ("noise", "low") for _ in range(sides)]
    for row in tables["faithfulness"].to_pylist():
        probabilities = two.probabilities[index[row["window_id"]]]
        assert row["p"] == probabilities[TINY.labels.index(row["target"])]
    for row in tables["listenables"].to_pylist():
        number = TINY.labels.index(row["target"])
        assert row["audio"]["path"] == f"{row['window_id']}.{number}.{row['kind']}.flac"
    assert len({row["audio"]["path"] for row in tables["listenables"].to_pylist()}) == 40


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
    tables = tables_of(explain_part(explainer, part, "", content, 16))
    assert set(tables["predictions"]["key"].to_pylist()) == {f"deep/er/{name}" for name in EVIL}
    assert {json.loads(text)["note"] for text in tables["predictions"]["metadata"].to_pylist()} == set(EVIL)


def test_a_shard_whose_name_is_not_utf8_still_makes_tables(explainer: Explainer, tmp_path: Path) -> None:
    content = content_of("tiny")
    (part,) = all_parts(write_folder(tmp_path, {"recording.wav": b"no audio"}), content)
    tables = tables_of(explain_part(explainer, part, "b\udcffd.tar", content, 16))
    assert tables["errors"]["shard"].to_pylist() == ["b\ufffdd.tar"]


def test_tasks_that_decode_and_write_do_not_load_torch() -> None:
    code = "import sys, pipeline.flow.tasks; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=120).returncode == 0
