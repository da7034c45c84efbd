from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from benchmarks.clap_originals import huggingface_clap, randomised
from benchmarks.clap_parity import random_pair
from pipeline.models.clap import laion
from pipeline.models.clap.audio import load_clap_audio
from pipeline.models.clap.originals import LaionAudio
from pipeline.models.clap.parity import compare, embed, noises, tones
from tests.models.clap.make import FRONT_END, FUSION_FRONT_END, small_clap, write_laion, write_small
from tests.models.make import noise, tone


def sound(n: int = 480_000) -> Tensor:
    return torch.cat([noise(1, n), tone(700.0, n, 48_000)])


@pytest.mark.parametrize("safe", [True, False], ids=["safetensors", "pytorch_model.bin"])
@pytest.mark.parametrize("fusion", [True, False], ids=["fusion", "unfused"])
def test_a_hugging_face_directory_gives_the_embedding_that_transformers_gives(
    tmp_path: Path, safe: bool, fusion: bool
) -> None:
    from transformers import ClapFeatureExtractor

    model = write_small(tmp_path, fusion=fusion, safe=safe)
    clap = load_clap_audio(tmp_path)
    heard = ClapFeatureExtractor.from_pretrained(tmp_path)(
        [x.numpy() for x in noise(2, 480_000)], sampling_rate=48_000, return_tensors="pt"
    )
    features = heard["input_features"].float()
    with torch.no_grad():
        theirs = model.get_audio_features(features, is_longer=torch.zeros(2, 1, dtype=torch.bool)).pooler_output
        ours = embed(clap.with_bank(torch.eye(16)[:3]), noise(2, 480_000))
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)
    assert clap.front_end == (FUSION_FRONT_END if fusion else FRONT_END)
    assert clap.logit_scale == pytest.approx(1 / 0.07, rel=1e-5)


def test_a_short_window_is_heard_as_transformers_hears_it_up_to_the_seams(tmp_path: Path) -> None:
    from transformers import ClapFeatureExtractor

    model = write_small(tmp_path)
    clap = load_clap_audio(tmp_path, window_s=3.0).with_bank(torch.eye(16)[:3])
    waveforms = sound(144_000)
    extractor = ClapFeatureExtractor.from_pretrained(tmp_path)
    heard = extractor([x.numpy() for x in waveforms], sampling_rate=48_000, return_tensors="pt")
    with torch.no_grad():
        theirs = model.get_audio_features(heard["input_features"].float()).pooler_output
        ours = embed(clap, waveforms)
    assert torch.nn.functional.cosine_similarity(ours, theirs).min() > 0.995
    assert (theirs[0] @ theirs[1]) < 0.9


def test_the_extractor_may_be_told_of_in_the_processors_file(tmp_path: Path) -> None:
    write_small(tmp_path)
    extractor = json.loads((tmp_path / "preprocessor_config.json").read_text())
    (tmp_path / "preprocessor_config.json").unlink()
    (tmp_path / "processor_config.json").write_text(json.dumps({"feature_extractor": extractor}))
    assert load_clap_audio(tmp_path).front_end == FRONT_END


def test_a_checkpoint_of_laion_gives_the_weights_it_holds(tmp_path: Path, small_laion: dict[str, Tensor]) -> None:
    clap = load_clap_audio(write_laion(tmp_path / "clap.pt", small_laion))
    assert clap.logit_scale == pytest.approx(np.exp(3.0))
    assert clap.front_end == laion.FRONT_END
    classifier, original = clap.with_bank(torch.eye(16)[:3]), small_clap()
    for name, weight in original.htsat.state_dict().items():
        assert torch.equal(classifier.htsat.state_dict()[name], weight), name
    assert classifier.logit_scale == pytest.approx(np.exp(3.0))


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    ["laion HTSAT-tiny", "laion HTSAT-tiny, fusion", "Hugging Face, unfused", "Hugging Face, fused"],
)
def test_real_sizes_give_the_embeddings_of_the_originals(tmp_path: Path, name: str) -> None:
    pair = random_pair(name, tmp_path)
    waveforms = torch.cat([noises(pair.samples)[1:3], tones(pair.samples, pair.sample_rate)[2:3]])
    parity = compare(pair, "noise and a tone", list(waveforms))
    assert parity.whole
    assert parity.cosine >= 0.9999
    assert parity.difference <= 1e-4
    assert parity.spread < 0.9  # the waveforms differ: a constant embedding would not do


@pytest.mark.slow
def test_not_to_cut_to_16_bits_would_be_a_difference_from_laion() -> None:
    model = randomised(LaionAudio("tiny", False))
    waveforms = tones(480_000, 48_000)[:2]
    with torch.no_grad():
        difference = model(waveforms) - model(waveforms, quantised=False)
    assert difference.abs().max() > 1e-4


@pytest.mark.slow
def test_a_fused_model_of_transformers_changes_with_is_longer_and_ours_never_is(tmp_path: Path) -> None:
    model: Any = huggingface_clap({"enable_fusion": True})
    features = torch.randn(1, 1, 1001, 64).expand(-1, 4, -1, -1) * 20 - 40
    with torch.no_grad():
        longer, not_longer = (
            model.get_audio_features(features, is_longer=torch.tensor([[flag]])).pooler_output for flag in (True, False)
        )
    assert torch.nn.functional.cosine_similarity(longer, not_longer) < 0.9999
