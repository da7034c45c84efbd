"""The CLAP that ships and the decoder for its prompts: small, and their scores on sounds of another seed."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.prompt_masks import evaluate_masks
from pipeline.datasets.clap_mini.measure import evaluate_zero_shot, load_saved
from pipeline.datasets.clap_mini.prompts import CLASS_PROMPTS, decoder_wordings
from pipeline.datasets.scenes import render_scene
from pipeline.lmac.explainer import Explainer
from pipeline.models.checkpoint import load_explainer
from pipeline.models.clap.clap_classifier import ClapClassifier
from pipeline.models.clap.prompts import parse_prompts
from pipeline.models.clap.source import bundled_clap, resolve_clap
from tests.jobs.test_cli import run

SEED = 771


def folder() -> Path:
    return Path(str(resources.files("pipeline.explainers") / "clap-mini"))


def test_it_is_small_and_found_by_its_name() -> None:
    files = [path for path in folder().rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= 25e6
    assert max(path.stat().st_size for path in files) <= 12e6
    assert resolve_clap("clap-mini").path == bundled_clap("clap-mini") == folder() / "clap"
    assert bundled_clap("esc10") is None


def test_its_prompts_are_those_of_its_training() -> None:
    assert load_explainer("clap-mini").config.labels == CLASS_PROMPTS
    assert list(parse_prompts(str(folder() / "clap" / "wordings.txt"))) == decoder_wordings()


@pytest.mark.slow
def test_transformers_embeds_sounds_as_we_do() -> None:
    from transformers import ClapFeatureExtractor, ClapModel

    saved = load_saved("clap-mini")
    model = ClapModel.from_pretrained(folder() / "clap").eval()
    extractor = ClapFeatureExtractor.from_pretrained(folder() / "clap")
    sounds = [render_scene(SEED, index).mixture for index in range(3)]
    inputs = extractor(sounds, sampling_rate=extractor.sampling_rate, return_tensors="pt")
    with torch.no_grad():
        theirs = torch.nn.functional.normalize(model.get_audio_features(**inputs).pooler_output, dim=1)
    ours = saved.embed_audio(torch.from_numpy(np.stack(sounds)))
    assert (ours * theirs).sum(1).min() > 0.9999
    assert (ours - theirs).abs().max() < 1e-4


@pytest.mark.slow
def test_it_classifies_unseen_scenes_by_held_out_wordings() -> None:
    scores = evaluate_zero_shot(load_saved("clap-mini"), scenes=40, mixtures=20, seed=SEED)
    assert scores.averaged >= 0.85
    assert scores.single_worst >= 0.85
    assert scores.present_auroc > 0.9


@pytest.mark.slow
def test_its_masks_lie_on_the_sound_that_the_prompt_names() -> None:
    loaded = load_explainer("clap-mini")
    assert isinstance(loaded.classifier, ClapClassifier)
    assert loaded.decoder is not None
    scores = evaluate_masks(loaded.classifier, loaded.decoder, load_saved("clap-mini").text, mixtures=8, seed=SEED)
    # Fewer mixtures than in docs/clap.md, so that the bounds are wider.
    assert scores.auroc.value > 0.7
    assert scores.auroc.value > scores.auroc_other.value
    assert scores.iou.value < 0.4
    assert scores.absent.value < 0.4 * scores.present.value
    assert scores.follows > 0.7
    assert scores.si_sdr_gain.value > 1


def test_silence_has_a_nearly_empty_mask_for_every_prompt() -> None:
    explainer = Explainer.load("clap-mini")
    found = explainer.explain_windows(np.zeros(explainer.config.front_end.window_samples, np.float32), targets="all")
    assert np.isfinite(found.scores["mask_mean"]).all()
    assert found.scores["mask_mean"].max() < 0.1


@pytest.mark.slow
@pytest.mark.ray
def test_the_demonstration_explains_two_sounds_at_once_for_two_prompts(tmp_path: Path) -> None:
    code, said = run("demo", "--zero-shot", "--out", tmp_path / "demo")
    assert code == 0, said
    assert "24 recordings explained in 24 windows; 0 recordings could not be used" in said
    pictures = list((tmp_path / "demo" / "pictures-prompts").glob("*.png"))
    assert len(pictures) == 6
