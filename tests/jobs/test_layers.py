"""`lmac layers` from the command line, on a handful of scenes."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from pipeline.datasets.scenes import SceneConfig, scene_label, write_scenes
from pipeline.models.checkpoint import save_explainer
from schemas.layers_tables import LAYERS, SIMILARITY
from tests.jobs.test_cli import run
from tests.models.make import CONFIG, small_models

COUNT, SEED = 24, 3


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Loud scenes as FLAC, and a table that asks whether each is a tone; the last two have no answer."""
    folder = tmp_path_factory.mktemp("layers")
    config = SceneConfig(sample_rate=16_000, duration_s=0.6, snr_db=(20.0, 25.0))
    write_scenes(str(folder / "data"), COUNT, SEED, format="flac", config=config)
    files = sorted(path.relative_to(folder / "data").as_posix() for path in (folder / "data").rglob("*.flac"))
    rows = ["path,label,noisy,site,half"]
    for number, file in enumerate(files):
        label = file.split("/")[0]
        noisy = "" if number >= COUNT - 2 else "yes" if label in ("rain", "wind", "engine", "knock") else "no"
        rows.append(f"{file},{label},{noisy},site {number % 6},{number % 2}")
    (folder / "labels.csv").write_text("\n".join(rows) + "\n")
    return folder


@pytest.fixture(scope="module")
def tiny_classifier(tmp_path_factory: pytest.TempPathFactory) -> str:
    """An explainer without a decoder, with few and random weights."""
    folder = str(tmp_path_factory.mktemp("classifier"))
    save_explainer(folder, CONFIG.model_copy(update={"decoder": None}), small_models()[0], None, "")
    return folder


def layers(scenes: Path, explainer: str, out: Path, *options: object) -> tuple[int, str]:
    table = scenes / "labels.csv"
    return run("layers", scenes / "data", "--explainer", explainer, "--out", out, "--labels", table, *options)


@pytest.mark.slow
def test_from_audio_to_tables_a_page_and_a_plot(scenes: Path, tiny_classifier: str, tmp_path: Path) -> None:
    options = ["--label-column", "noisy", "--folds", 3, "--group", "site", "--width", 32, "--batch-size", 4]
    code, said = layers(scenes, tiny_classifier, tmp_path / "out", *options)
    assert code == 0, said
    assert "2 of 24 recordings have no label: compared, but not probed" in said
    assert "22 recordings of 2 labels in 3 folds" in said
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "cka.parquet",
        "layers.md",
        "layers.parquet",
        "layers.png",
    ]

    table = pq.read_table(tmp_path / "out" / "layers.parquet")
    assert table.schema.equals(LAYERS)
    assert json.loads(table.schema.metadata[b"settings"])["group"] == "site"
    rows = table.to_pylist()
    assert [row["name"] for row in rows][:2] == ["log-mel", "depth 1"]
    assert all(row["low"] <= row["accuracy"] <= row["high"] for row in rows)
    assert {(row["recordings"], row["labels"]) for row in rows} == {(22, 2)}
    assert max(row["width"] for row in rows) == 32

    pairs = pq.read_table(tmp_path / "out" / "cka.parquet")
    assert pairs.schema.equals(SIMILARITY)
    assert pairs.num_rows == len(rows) ** 2
    assert set(pairs["recordings"].to_pylist()) == {COUNT}

    page = (tmp_path / "out" / "layers.md").read_text()
    assert "22 recordings of 2 labels (`noisy`) probed in 3 folds, no `site` on both sides" in page
    assert str(tmp_path) not in page
    assert (tmp_path / "out" / "layers.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_the_same_command_writes_the_same_tables(scenes: Path, tiny_classifier: str, tmp_path: Path) -> None:
    options = ["--label-column", "noisy", "--folds", 3, "--limit", 20, "--seed", 4]
    for name in ("one", "two"):
        assert layers(scenes, tiny_classifier, tmp_path / name, *options)[0] == 0
    for file in ("layers.parquet", "cka.parquet", "layers.md"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()
    assert set(pq.read_table(tmp_path / "one" / "cka.parquet")["recordings"].to_pylist()) == {20}


@pytest.mark.slow
def test_only_the_clips_selected_are_heard(scenes: Path, tiny_classifier: str, tmp_path: Path) -> None:
    options = ["--label-column", "noisy", "--folds", 3, "--select", "half=1"]
    code, said = layers(scenes, tiny_classifier, tmp_path / "out", *options)
    assert code == 0, said
    assert "12 recordings (half is one of 1)" in (tmp_path / "out" / "layers.md").read_text()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "5 folds need 5 recordings of every label"),
        (["--label-column", "nothing"], "error: "),
        (["--select", "half"], "error: 'half' selects nothing"),
        (["--label-column", "noisy", "--select", "noisy=yes"], "labelled recordings are 'yes'"),
        (
            ["--label-column", "noisy", "--group", "town"],
            "error: no recording has a column 'town' to group by; there are: ",
        ),
        (["--folds", "1"], "folds: Input should be greater than or equal to 2, got 1"),
    ],
)
def test_a_question_that_makes_no_sense_is_refused_at_the_door(
    scenes: Path, tiny_classifier: str, tmp_path: Path, options: list[str], said: str
) -> None:
    code, printed = layers(scenes, tiny_classifier, tmp_path / "out", *options)
    assert code == 1
    assert said in printed
    assert not (tmp_path / "out").exists()


def test_labels_may_come_from_the_folders(scenes: Path, tiny_classifier: str, tmp_path: Path) -> None:
    counts = [scene_label(SEED, index) for index in range(COUNT)]
    assert min(counts.count(label) for label in set(counts)) == 2
    code, said = run("layers", scenes / "data", "--explainer", tiny_classifier, "--out", tmp_path, "--folds", 2)
    assert code == 1
    assert "a fold leaves 1 of them to learn from" in said
