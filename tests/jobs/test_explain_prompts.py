"""`lmac explain --prompts`: a decoder for prompts, with prompts that it was not trained with."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import duckdb
import pytest
import torch
from safetensors.torch import load_file, save_file

from pipeline.flow.checks import RunConflictError
from pipeline.flow.explainer_of_run import as_begun, explain_with, load_asked
from pipeline.models.checkpoint import LoadedExplainer, explainer_digest, load_explainer
from pipeline.models.clap.clap_classifier import ClapClassifier
from pipeline.models.prompted import with_prompts
from pipeline.runs.output import RunOutput
from schemas.records import RunRecord
from schemas.run_config import ContentConfig
from tests.jobs.test_cli import run
from tests.jobs.test_train_clap import PROMPTS, clap, scenes

__all__ = ["clap", "scenes"]

PERTURBED = 1e-7
OTHERS = "a bell; wind; knocks on wood"


@pytest.fixture(scope="module")
def explainer(clap: Path, scenes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
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
@pytest.mark.ray
def test_wordings_are_trained_for_and_become_no_classes(explainer: Path) -> None:
    config = load_explainer(str(explainer)).config
    assert config.labels == ("a dog barking", "rain on a roof", "a siren")
    assert config.decoder is not None
    assert config.decoder.prompted


def test_wordings_that_say_nothing_new_are_refused_before_any_audio_is_read(clap: Path, tmp_path: Path) -> None:
    options = ["--classifier", f"clap:{clap}", "--prompts", "dog; rain", "--template", "a {}", "--window-s", "1"]
    command = [
        "train",
        "decoder",
        tmp_path / "none",
        tmp_path / "out",
        *options,
        "--objective",
        "lmac-zs",
        "--wordings",
    ]
    code, said = run(*command, "a siren; a dog")
    assert code == 1
    assert "wordings: to the text encoder 'a dog' is the same as the prompt 'dog' in its templates" in said
    code, said = run(*command, "a siren; a Siren")
    assert code == 1
    assert "wordings: the prompts: the prompts 'a siren' and 'a Siren' are equal" in said


@pytest.mark.slow
@pytest.mark.ray
def test_a_run_with_other_prompts_has_them_for_classes_and_a_mask_for_each(
    explainer: Path, clap: Path, scenes: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    options = ["--explainer", explainer, "--classifier", f"clap:{clap}", "--prompts", OTHERS, "--targets", "all"]
    command = ["explain", scenes, out, *options, "--device", "cpu", "--actors", "1"]
    code, said = run(*command)
    assert code == 0, said
    (row,) = duckdb.sql(
        f"SELECT count(*), count(DISTINCT target), count(DISTINCT window_id), count(DISTINCT md5(mask)) "
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
    code, said = run(*[option if option != OTHERS else PROMPTS for option in command])
    assert code == 1
    assert "already holds a run with other settings" in said


@pytest.mark.slow
@pytest.mark.ray
def test_other_prompts_change_the_classes_and_neither_the_sound_nor_the_decoder(explainer: Path, clap: Path) -> None:
    loaded = load_explainer(str(explainer))
    other = with_prompts(loaded, f"clap:{clap}", OTHERS)
    assert other.config.labels == ("a bell", "wind", "knocks on wood")
    assert other.decoder is loaded.decoder
    assert other.digest != loaded.digest
    assert with_prompts(loaded, str(clap), PROMPTS).digest == loaded.digest
    assert explainer_digest(loaded.config, loaded.classifier, loaded.decoder) == loaded.digest


def elsewhere(loaded: LoadedExplainer) -> LoadedExplainer:
    """The same as another machine would have made it: the last bits of its embeddings are others."""
    clap = loaded.classifier
    assert isinstance(clap, ClapClassifier)
    noise = PERTURBED * torch.randn(clap.class_embeddings.shape, generator=torch.Generator().manual_seed(0))
    other = clap.with_class_embeddings(clap.class_embeddings + noise)
    other.config = clap.config
    return replace(loaded, classifier=other, digest=explainer_digest(loaded.config, other, loaded.decoder))


@pytest.mark.slow
@pytest.mark.ray
def test_a_run_begun_on_another_machine_goes_on_with_the_embeddings_it_has(
    explainer: Path, clap: Path, scenes: Path, tmp_path: Path
) -> None:
    content = ContentConfig(explainer=str(explainer), classifier=f"clap:{clap}", prompts=OTHERS, targets="all")
    loaded = load_asked(content)
    begun, output = elsewhere(loaded), RunOutput(str(tmp_path / "run"))
    assert begun.digest != loaded.digest
    assert as_begun(content, loaded, output) is loaded  # nothing is there yet
    digest = {"name": begun.config.name, "digest": begun.digest, "labels": list(begun.config.labels)}
    output.write_run_record(
        RunRecord(lmac_version="0", input_digest="0", shards=1, config={}, explainer=digest, packages={})
    )
    assert as_begun(content, loaded, output) is loaded  # nor its explainer
    explain_with(content, begun, output)
    found = as_begun(content, loaded, output)
    assert found.digest == begun.digest
    assert isinstance(found.classifier, ClapClassifier)
    assert isinstance(begun.classifier, ClapClassifier)
    assert torch.equal(found.classifier.class_embeddings, begun.classifier.class_embeddings)
    for change, named in (
        ({"prompts": "a bell; wind; rain"}, "prompts: a bell; wind; knocks on wood there, a bell; wind; rain now"),
        ({"templates": ("the sound of {}",)}, "templates: {} there, the sound of {} now"),
    ):
        other = content.model_copy(update=change)
        with pytest.raises(RunConflictError) as refused:
            as_begun(other, load_asked(other), output)
        assert named in str(refused.value)
        assert "decoder's weights" not in str(refused.value)
    trained_on = load_asked(content)
    assert trained_on.decoder is not None
    with torch.no_grad():
        next(trained_on.decoder.parameters()).add_(1)
    changed = replace(trained_on, digest=explainer_digest(trained_on.config, trained_on.classifier, trained_on.decoder))
    with pytest.raises(RunConflictError, match="decoder's weights: "):
        as_begun(content, changed, output)


@pytest.mark.slow
@pytest.mark.ray
def test_a_decoder_goes_on_with_other_prompts_and_not_for_another_clap(
    explainer: Path, clap: Path, scenes: Path, tmp_path: Path
) -> None:
    settings = explainer.parent / "decoder.yaml"
    other = tmp_path / "other-clap"
    shutil.copytree(clap, other)
    weights = load_file(other / "model.safetensors")
    weights["audio_projection.linear1.bias"] += 1
    save_file(weights, other / "model.safetensors", {"format": "pt"})
    short = ["--objective", "lmac-zs", "--epochs", "1", "--batch-size", "8", "--start", explainer, "--prompts", OTHERS]
    options = [*short, "--template", "hear {}", "--config", settings]

    def trained(where: Path, window_s: str) -> tuple[int, str]:
        named = ["--classifier", f"clap:{where}", "--window-s", window_s]
        return run("train", "decoder", scenes, tmp_path / "out", *named, *options)

    for where, window_s, message in (
        (other, "1", "was trained for a CLAP whose audio encoder has other weights"),
        (clap, "0.5", "its front_end.window_s is 1.0, and 0.5 in this training"),
    ):
        code, said = trained(where, window_s)
        assert code == 1
        assert message in said
        assert not (tmp_path / "out").exists()
    code, said = trained(clap, "1")
    assert code == 0, said
    assert load_explainer(str(tmp_path / "out")).config.labels == ("a bell", "wind", "knocks on wood")


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ("training: {objective: {kind: lmac-zs, prompts: 4}}", "is 4 prompts a window, and there are 3 in all"),
        (
            "{decoder: {channels: [2, 4]}, training: {objective: lmac-zs}}",
            "decoder.channels names 2 depths, the classifier has 6",
        ),
    ],
)
def test_a_recipe_that_does_not_fit_the_clap_is_refused_before_any_audio(
    settings: str, message: str, clap: Path, tmp_path: Path
) -> None:
    (tmp_path / "decoder.yaml").write_text(settings)
    options = ["--classifier", f"clap:{clap}", "--prompts", PROMPTS, "--config", tmp_path / "decoder.yaml"]
    code, said = run("train", "decoder", tmp_path / "no-audio-here", tmp_path / "out", *options)
    assert code == 1
    assert message in said
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--prompts", OTHERS], "comes without a text encoder for prompts"),
        (["--classifier", "clap:somewhere"], "need prompts, which are not given"),
        (
            ["--prompts", OTHERS, "--classifier", "somewhere"],
            "must be clap:WHERE, got 'somewhere'",
        ),
        (["--prompts", "rain", "--classifier", "clap:somewhere"], "'rain' is the only prompt"),
        (["--prompts", "rain; Rain", "--classifier", "clap:somewhere"], "are equal"),
        (["--prompts", OTHERS, "--classifier", "clap:nowhere/at/all"], "no CLAP at"),
    ],
)
def test_what_cannot_be_used_is_refused_before_anything_is_written(
    options: list[str], message: str, explainer: Path, scenes: Path, tmp_path: Path
) -> None:
    code, said = run("explain", scenes, tmp_path / "out", "--explainer", explainer, *options)
    assert code == 1
    assert message in said
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
@pytest.mark.ray
def test_a_decoder_that_is_not_for_prompts_is_refused(clap: Path, scenes: Path, tmp_path: Path) -> None:
    options = ["--prompts", OTHERS, "--classifier", f"clap:{clap}"]
    code, said = run("explain", scenes, tmp_path / "out", "--explainer", "esc10", *options)
    assert code == 1
    assert "is not for prompts" in said


@pytest.mark.slow
@pytest.mark.ray
def test_the_decoder_of_another_clap_is_refused(explainer: Path, scenes: Path, tmp_path: Path) -> None:
    options = ["--prompts", OTHERS, "--classifier", "clap:clap-mini"]
    code, said = run("explain", scenes, tmp_path / "out", "--explainer", explainer, *options)
    assert code == 1
    assert "was trained for another CLAP" in said
