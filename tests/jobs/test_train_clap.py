"""A CLAP from the command line: prompts or labels as classes, a decoder for it, and what is refused before any work."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipeline.datasets.scenes import SceneConfig, write_scenes
from pipeline.lmac.explainer import Explainer
from pipeline.models.checkpoint import load_explainer
from schemas.explainer_config import ClapConfig
from tests.jobs.test_cli import run
from tests.models.clap.texts import save_huggingface

PROMPTS = "a dog barking; rain on a roof; a siren"


@pytest.fixture(scope="module")
def clap(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a small ClapModel with random weights, its tokenizer and its feature extractor."""
    from transformers import ClapFeatureExtractor

    folder = save_huggingface(tmp_path_factory.mktemp("clap"))
    extractor = ClapFeatureExtractor(frequency_min=50, frequency_max=14_000, truncation="rand_trunc", max_length_s=10)
    extractor.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scenes") / "data"
    write_scenes(str(folder), 20, seed=3, format="flac", config=SceneConfig(duration_s=1.0))
    return folder


@pytest.fixture(scope="module")
def explainer(clap: Path, scenes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A decoder trained for a step or two."""
    folder = tmp_path_factory.mktemp("explainer") / "zero-shot"
    settings = folder.parent / "decoder.yaml"
    settings.write_text("decoder: {channels: [2, 4, 4, 4, 4, 4]}\n")
    options = ["--classifier", f"clap:{clap}", "--prompts", PROMPTS, "--template", "the sound of {}"]
    short = ["--template", "{}", "--window-s", "1", "--epochs", "1", "--batch-size", "8", "--config", settings]
    code, said = run("train", "decoder", scenes, folder, *options, *short)
    assert code == 0, said
    return folder


@pytest.mark.slow
def test_prompts_are_the_classes_of_the_explainer_that_comes_out(explainer: Path) -> None:
    config = load_explainer(str(explainer)).config
    assert config.labels == ("a dog barking", "rain on a roof", "a siren")
    assert isinstance(config.classifier, ClapConfig)
    assert config.classifier.templates == ("the sound of {}", "{}")
    assert len(config.classifier.text_encoder) == 64
    assert config.decoder is not None
    assert config.decoder.evidence == 6
    card = (explainer / "README.md").read_text()
    assert "- rain on a roof" in card
    assert "secret" not in card


@pytest.mark.slow
def test_it_explains_one_window_and_any_prompt_of_the_bank(explainer: Path) -> None:
    loaded = Explainer.load(str(explainer))
    sound = np.random.default_rng(0).normal(0, 0.1, (2, 48_000)).astype(np.float32)
    found = loaded.explain_windows(sound, targets="a siren; a dog barking")
    assert found.targets == ("a siren", "a dog barking") * 2
    assert found.mask.shape == (4, 513, 101)
    assert (found.mask[0] != found.mask[1]).any()


@pytest.mark.slow
@pytest.mark.ray
def test_a_run_through_ray_explains_all_recordings(explainer: Path, scenes: Path, tmp_path: Path) -> None:
    import duckdb

    code, said = run("explain", scenes, tmp_path / "run", "--explainer", explainer, "--device", "cpu", "--actors", "1")
    assert code == 0, said
    tables = f"'{tmp_path}/run/predictions/*.parquet'"
    ((count, recordings, least),) = duckdb.sql(
        f"SELECT count(*), count(DISTINCT key), min(probability) FROM {tables}"
    ).fetchall()
    assert (count, recordings) == (20, 20)
    assert least >= 1 / 3


@pytest.mark.slow
def test_a_head_learns_labels_and_its_layers_are_studied(clap: Path, scenes: Path, tmp_path: Path) -> None:
    out = tmp_path / "head"
    code, said = run("train", "head", scenes, out, "--classifier", f"clap:{clap}", "--window-s", "1")
    assert code == 0, said
    loaded = load_explainer(str(out))
    assert len(loaded.config.labels) == 10
    assert loaded.decoder is None
    table = tmp_path / "labels.csv"
    files = sorted(path.relative_to(scenes).as_posix() for path in scenes.rglob("*.flac"))
    table.write_text("\n".join(["path,label", *(f"{file},{'ab'[n % 2]}" for n, file in enumerate(files))]) + "\n")
    code, said = run("layers", scenes, "--explainer", out, "--labels", table, "--out", tmp_path / "layers")
    assert code == 0, said
    assert "log-mel" in said


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "a CLAP needs classes to choose from"),
        (["--prompts", " ; "], "there is no prompt"),
        (["--prompts", "rain"], "'rain' is the only prompt"),
        (["--prompts", "rain; Rain"], "are equal"),
        (["--prompts", "nowhere.txt"], "there is no such file of prompts"),
        (["--prompts", PROMPTS, "--template", "the sound"], "must hold '{}' exactly once"),
        (["--prompts", f"{'very ' * 60}loud; rain"], "tokens long, the text encoder takes"),
        (["--prompts", PROMPTS, "--window-s", "20"], "must be at most the 10 s"),
    ],
)
def test_what_cannot_be_a_class_is_refused_before_any_work(
    options: list[str], message: str, clap: Path, scenes: Path, tmp_path: Path
) -> None:
    code, said = run("train", "decoder", scenes, tmp_path / "out", "--classifier", f"clap:{clap}", *options)
    assert code == 1
    assert message in said
    assert not (tmp_path / "out" / "training" / "windows.i16").exists()


def test_a_checkpoint_that_is_none_or_not_there_is_named(scenes: Path, tmp_path: Path) -> None:
    wrong = tmp_path / "notes.pt"
    wrong.write_text("not a checkpoint")
    for where, message in ((wrong, "is no checkpoint of laion-clap"), (tmp_path / "no.pt", "it does not exist")):
        options = ["--classifier", f"clap:{where}", "--prompts", PROMPTS]
        code, said = run("train", "decoder", scenes, tmp_path / "out", *options)
        assert code == 1
        assert message in said


def test_prompts_are_for_a_clap_only(scenes: Path, tmp_path: Path) -> None:
    code, said = run("train", "decoder", scenes, tmp_path / "out", "--classifier", "esc10", "--prompts", PROMPTS)
    assert code == 1
    assert "prompts, templates and window_s are for the classifier clap:WHERE" in said
