"""`lmac train clap-mini` on very little: a directory that loads, and refusals."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.datasets.clap_mini.measure import load_saved
from tests.datasets.clap_mini.make import TINY
from tests.jobs.test_cli import run


@pytest.mark.slow
def test_one_command_trains_saves_and_scores(tmp_path: Path) -> None:
    recipe, out = tmp_path / "recipe.yaml", tmp_path / "mini"
    recipe.write_text(TINY.model_dump_json())  # JSON is YAML
    code, said = run("train", "clap-mini", str(out), "--config", str(recipe), "--epochs", "1")
    assert code == 0, said
    assert "epoch 1 of 1" in said
    assert "accuracy, held-out wordings, averaged" in said
    load_saved(out)
    assert {"config.json", "model.safetensors", "preprocessor_config.json", "tokenizer.json", "recipe.json"} <= {
        path.name for path in out.iterdir()
    }
    assert not (out / "training").exists()
    code, said = run("train", "clap-mini", str(out), "--config", str(recipe))
    assert code == 1
    assert "already holds a model" in said


def test_a_setting_that_does_not_exist_is_named(tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("training: {mixture: {snr: 3}}\n")
    code, said = run("train", "clap-mini", str(tmp_path / "mini"), "--config", str(recipe))
    assert code == 1
    assert "training.mixture.snr" in said
