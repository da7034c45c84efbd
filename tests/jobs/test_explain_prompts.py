"""`lmac explain --prompts`: a decoder that listens to prompts, asked for prompts that it was not trained with."""

from __future__ import annotations

import json
from pathlib import Path

import duckdb
import pytest

from pipeline.models.checkpoint import explainer_digest, load_explainer
from pipeline.models.clap.zero_shot import with_prompts
from tests.jobs.test_cli import run
from tests.jobs.test_train_clap import PROMPTS, clap, scenes

__all__ = ["clap", "scenes"]

ASKED = "a bell; wind; knocks on wood"


@pytest.fixture(scope="module")
def listening(clap: Path, scenes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An explainer whose decoder was trained for prompts for a step or two."""
    folder = tmp_path_factory.mktemp("explainer") / "zero-shot"
    settings = folder.parent / "decoder.yaml"
    settings.write_text("decoder: {channels: [2, 4, 4, 4, 4, 4]}\n")
    options = ["--classifier", f"clap:{clap}", "--prompts", PROMPTS, "--wordings", "a dog; sirens", "--window-s", "1"]
    short = ["--objective", "lmac-zs", "--epochs", "1", "--batch-size", "8", "--config", settings]
    code, said = run("train", "decoder", scenes, folder, *options, *short)
    assert code == 0, said
    return folder


@pytest.mark.slow
def test_wordings_are_trained_for_and_become_no_classes(listening: Path) -> None:
    config = load_explainer(str(listening)).config
    assert config.labels == ("a dog barking", "rain on a roof", "a siren")
    assert config.decoder is not None
    assert config.decoder.prompted


@pytest.mark.slow
def test_a_run_with_other_prompts_has_them_for_classes_and_a_mask_for_each(
    listening: Path, clap: Path, scenes: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    options = ["--explainer", listening, "--classifier", f"clap:{clap}", "--prompts", ASKED, "--labels", "all"]
    command = ["explain", scenes, out, *options, "--device", "cpu", "--actors", "1"]
    code, said = run(*command)
    assert code == 0, said
    (row,) = duckdb.sql(
        f"SELECT count(*), count(DISTINCT label), count(DISTINCT window_id), count(DISTINCT md5(mask)) "
        f"FROM '{out}/masks/*.parquet'"
    ).fetchall()
    assert row[:3] == (60, 3, 20)
    assert row[3] > 20  # no mask for all prompts
    record = json.loads((out / "_run.json").read_text())
    assert record["explainer"]["labels"] == ["a bell", "wind", "knocks on wood"]
    assert str(tmp_path) not in (out / "_run.json").read_text()
    saved = load_explainer(str(next((out / "explainer").iterdir())))
    assert saved.digest == record["explainer"]["digest"]
    code, said = run(*command)
    assert code == 0, said
    code, said = run(*[option if option != ASKED else PROMPTS for option in command])
    assert code == 1
    assert "asked for something else" in said


@pytest.mark.slow
def test_other_prompts_change_the_classes_and_neither_the_sound_nor_the_decoder(listening: Path, clap: Path) -> None:
    loaded = load_explainer(str(listening))
    other = with_prompts(loaded, f"clap:{clap}", ASKED)
    assert other.config.labels == ("a bell", "wind", "knocks on wood")
    assert other.decoder is loaded.decoder
    assert other.digest != loaded.digest
    assert with_prompts(loaded, str(clap), PROMPTS).digest == loaded.digest
    assert explainer_digest(loaded.config, loaded.classifier, loaded.decoder) == loaded.digest


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--prompts", ASKED], "comes without a text encoder for prompts"),
        (["--classifier", "clap:somewhere"], "are for content.prompts, which is not given"),
        (["--prompts", ASKED, "--classifier", "somewhere"], "content.classifier must be clap:WHERE, got 'somewhere'"),
        (["--prompts", "rain", "--classifier", "clap:somewhere"], "'rain' is the only prompt"),
        (["--prompts", "rain; Rain", "--classifier", "clap:somewhere"], "are equal"),
        (["--prompts", ASKED, "--classifier", "clap:nowhere/at/all"], "no CLAP at"),
    ],
)
def test_what_cannot_be_asked_is_refused_before_anything_is_written(
    options: list[str], message: str, listening: Path, scenes: Path, tmp_path: Path
) -> None:
    code, said = run("explain", scenes, tmp_path / "out", "--explainer", listening, *options)
    assert code == 1
    assert message in said
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_decoder_that_listens_to_no_prompt_is_refused(clap: Path, scenes: Path, tmp_path: Path) -> None:
    options = ["--prompts", ASKED, "--classifier", f"clap:{clap}"]
    code, said = run("explain", scenes, tmp_path / "out", "--explainer", "esc10", *options)
    assert code == 1
    assert "has no decoder that listens to prompts" in said


@pytest.mark.slow
def test_the_decoder_of_another_clap_is_refused(listening: Path, scenes: Path, tmp_path: Path) -> None:
    options = ["--prompts", ASKED, "--classifier", "clap:clap-mini"]
    code, said = run("explain", scenes, tmp_path / "out", "--explainer", listening, *options)
    assert code == 1
    assert "was trained for another CLAP" in said
