"""`lmac train classifier` and `lmac train decoder` on a handful of scenes: an explainer that loads."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pipeline.datasets.scenes import SceneConfig, write_scenes
from pipeline.lmac.explainer import Explainer
from pipeline.models.checkpoint import load_explainer
from tests.jobs.test_cli import run

pytestmark = pytest.mark.slow

RECIPE = """
front_end: {sample_rate: 16000, n_fft: 512, hop_length: 256, n_mels: 32, f_max: 8000, window_s: 1.0}
classifier: {channels: [4, 4, 8, 8], embedding: 8}
"""
Train = Callable[..., tuple[int, str]]


@pytest.fixture
def train(monkeypatch: pytest.MonkeyPatch) -> Train:
    """Run `lmac train ...`, for one epoch."""

    def invoke(*arguments: object) -> tuple[int, str]:
        words = ["train", *map(str, arguments), "--epochs", "1", "--batch-size", "8"]
        monkeypatch.setattr(sys, "argv", ["lmac", *words])
        return run(*words)

    return invoke


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("scenes") / "data"
    write_scenes(str(folder), 20, seed=3, config=SceneConfig(duration_s=1.0))
    return str(folder)


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recipe") / "recipe.yaml"
    path.write_text(RECIPE)
    return path


def test_from_scenes_to_an_explainer(train: Train, scenes: str, recipe: Path, tmp_path: Path) -> None:
    classifier, decoder = tmp_path / "classifier", tmp_path / "explainer"
    small = tmp_path / "decoder.yaml"
    small.write_text("decoder: {channels: [4, 4, 4, 4, 4]}\n")

    code, said = train("classifier", scenes, classifier, "--config", recipe, "--validation", "0.2", "--name", "toy")
    assert code == 0, said
    assert "epoch 1 of 1" in said
    assert said.endswith(f"wrote {classifier}")
    assert load_explainer(str(classifier)).decoder is None
    assert len(load_explainer(str(classifier)).config.labels) == 10

    code, said = train("decoder", scenes, decoder, "--classifier", classifier, "--config", small)
    assert code == 0, said
    explanation = Explainer.load(str(decoder)).explain_windows(np.zeros((1, 16_000), np.float32))
    assert explanation.mask.shape == (1, 257, 64)
    assert sorted(path.name for path in decoder.iterdir()) == [
        "README.md",
        "classifier.safetensors",
        "config.json",
        "decoder.safetensors",
    ]
    card = (decoder / "README.md").read_text()
    # Without the folders of this machine.
    assert "lmac train classifier data classifier --config recipe.yaml" in card
    assert "lmac train decoder data explainer --classifier classifier" in card

    guided = "training: {objective: {masked_out: log_complement, size: hinge, guidance: {correlation: 0.0}}}\n"
    small.write_text(small.read_text() + guided)
    again = ["--classifier", classifier, "--config", small, "--start"]
    code, said = train("decoder", scenes, tmp_path / "again", *again, decoder)
    assert code == 0, said
    first, second = (load_explainer(str(one)).digest for one in (decoder, tmp_path / "again"))
    assert first != second
    code, said = train("decoder", scenes, tmp_path / "neither", *again, classifier)
    assert code == 1
    assert f"error: start {classifier} has no decoder" in said

    code, said = train("decoder", scenes, decoder, "--classifier", classifier, "--config", small)
    assert code == 1
    assert said == f"error: {decoder} already holds an explainer: choose another place, or delete it first"


def test_files_that_training_did_not_write_are_kept(train: Train, recipe: Path, tmp_path: Path) -> None:
    data = tmp_path / "set" / "training"
    write_scenes(str(data), 10, seed=3, config=SceneConfig(duration_s=1.0))
    before = sorted(data.iterdir())
    code, said = train("classifier", data, tmp_path / "set", "--config", recipe, "--validation", "none")
    assert code == 0, said
    assert sorted(data.iterdir()) == before


def test_a_classifier_to_explain_that_does_not_exist(train: Train, scenes: str, tmp_path: Path) -> None:
    code, said = train("decoder", scenes, tmp_path / "out", "--classifier", tmp_path / "nowhere")
    assert code == 1
    assert f"error: no explainer at '{tmp_path / 'nowhere'}'" in said


def test_a_selection_leaves_the_classes_as_they_are(train: Train, scenes: str, recipe: Path, tmp_path: Path) -> None:
    select = ["--select", "label=rain,wind,siren", "--test", "label=engine", "--validation", "none"]
    code, said = train("classifier", scenes, tmp_path / "out", "--config", recipe, *select)
    assert code == 0, said
    assert (
        "trained on 6 recordings (label is one of rain, wind, siren); tested once on 2 recordings (label=engine)"
        in said
    )
    assert len(load_explainer(str(tmp_path / "out")).config.labels) == 10


def test_a_selection_that_leaves_nothing(train: Train, scenes: str, recipe: Path, tmp_path: Path) -> None:
    code, said = train("classifier", scenes, tmp_path / "out", "--config", recipe, "--select", "label=whale")
    assert code == 1
    assert "error: no recording is left of 20 where label is one of whale" in said


def test_a_recipe_that_makes_no_sense(train: Train, scenes: str, tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("front_end: {hop_length: 4000}\n")
    code, said = train("classifier", scenes, tmp_path / "out", "--config", recipe)
    assert code == 1
    assert "front_end: hop_length must be at most n_fft/2" in said
