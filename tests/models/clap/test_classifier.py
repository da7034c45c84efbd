from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from pipeline.evaluation.sanity import layers_from_the_top, randomised
from pipeline.lmac.explainer import Explainer
from pipeline.models.build import build_classifier, build_decoder
from pipeline.models.checkpoint import load_explainer, save_explainer
from pipeline.models.clap.clap_classifier import ClapClassifier
from schemas.explainer_config import ClapConfig, Cnn10Config, ExplainerConfig
from tests.models.clap.make import SMALL, explainer_config, small_clap
from tests.models.make import noise, tone

CLAP = small_clap()


def test_logits_are_scaled_cosines_to_the_bank() -> None:
    output = CLAP(torch.rand(4, 513, 301))
    torch.testing.assert_close(output.embedding.norm(dim=1), torch.ones(4))
    cosines = torch.nn.functional.cosine_similarity(output.embedding[:, None], CLAP.class_embeddings[None], dim=2)
    torch.testing.assert_close(output.logits, cosines * CLAP.logit_scale)


def test_a_linear_head_hears_the_embedding() -> None:
    clap = small_clap(SMALL.model_copy(update={"head": "linear"}))
    output = clap(torch.rand(4, 513, 301))
    assert clap.classify is not None
    torch.testing.assert_close(output.logits, clap.classify(output.embedding))
    assert not any("class_embeddings" in name for name in clap.state_dict())


def test_the_same_window_has_the_same_embedding_in_any_batch() -> None:
    magnitude = CLAP.front_end.stft(torch.cat([noise(3, 144_000), tone(440, 144_000, 48_000)])).abs()
    together = CLAP(magnitude).embedding
    alone = torch.cat([CLAP(window).embedding for window in magnitude.split(1)])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-5)
    torch.testing.assert_close(CLAP(magnitude.flip(0)).embedding.flip(0), together, rtol=0, atol=1e-5)


def test_training_the_head_leaves_the_rest_in_evaluation_mode() -> None:
    clap = small_clap(SMALL.model_copy(update={"head": "linear"}))
    magnitude = torch.rand(4, 513, 301)
    before = clap(magnitude).embedding
    clap.train()
    assert clap.training
    torch.testing.assert_close(clap(magnitude).embedding, before)
    torch.testing.assert_close(clap.eval()(magnitude).embedding, before)


def test_a_folded_copy_computes_the_same() -> None:
    magnitude = torch.rand(1, 513, 301)
    assert torch.equal(CLAP.folded()(magnitude).logits, CLAP(magnitude).logits)


def test_more_frames_than_clap_hears_are_refused() -> None:
    with pytest.raises(ValueError, match="1 to 1001 frames at once, got 1002"):
        CLAP(torch.rand(1, 513, 1002))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"heads": (2, 2)}, "depths names 4 stages and heads 2"),
        ({"channels": 9}, "9 channels of stage 1 do not divide among 2 heads"),
        ({"attention_window": 16}, "still be as large as attention_window, 16"),
        ({"image_size": 250}, "an image of 250 in patches of 4"),
        ({"patch_size": 8}, "Input should be 4"),
    ],
)
def test_sizes_that_do_not_go_together_are_refused(changed: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        ClapConfig.model_validate({**SMALL.model_dump(), **changed})


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"n_mels": 48}, "n_mels must divide the image of 256 and be a multiple of 32"),
        ({"window_s": 11.0}, "window_s must be at most the 10 s that this CLAP takes at once, got 11 s"),
        ({"hop_length": 470}, "must be a whole number of hops, got a hop_length of 470 at 48000 Hz"),
        ({"hop_length": 240}, "and the image of this CLAP holds 1024"),
    ],
)
def test_a_front_end_that_does_not_fit_clap_is_refused(changed: dict[str, object], message: str) -> None:
    config = explainer_config(10.0).model_dump()
    config["front_end"].update(changed)
    with pytest.raises(ValidationError, match=message):
        ExplainerConfig.model_validate(config)


def test_each_prompt_is_a_class() -> None:
    config = explainer_config(10.0).model_dump()
    config["labels"] = ("a dog", "rain")
    with pytest.raises(ValidationError, match="2 labels for 3 prompts"):
        ExplainerConfig.model_validate(config)


def test_the_kind_says_which_classifier_is_meant() -> None:
    config = explainer_config(10.0).model_dump()
    assert isinstance(ExplainerConfig.model_validate(config).classifier, ClapConfig)
    config["classifier"] = Cnn10Config().model_dump()
    assert isinstance(ExplainerConfig.model_validate(config).classifier, Cnn10Config)


@pytest.mark.parametrize("head", ["bank", "linear"])
def test_an_explainer_comes_back_from_its_directory_as_it_was_saved(tmp_path: object, head: str) -> None:
    config = explainer_config(3.0, head)
    assert isinstance(config.classifier, ClapConfig)
    classifier = small_clap(config.classifier, config.front_end)
    decoder = build_decoder(config, classifier)
    save_explainer(str(tmp_path), config, classifier, decoder, "a small CLAP")
    loaded = load_explainer(str(tmp_path))
    assert loaded.config == config
    assert isinstance(loaded.classifier, ClapClassifier)
    for name, weight in classifier.state_dict().items():
        assert torch.equal(loaded.classifier.state_dict()[name], weight), name
    magnitude = torch.rand(2, 513, 301)
    assert torch.equal(loaded.classifier(magnitude).logits, classifier(magnitude).logits)


@pytest.mark.parametrize(("window_s", "evidence"), [(10.0, 6), (3.0, 6), (3.0, 0)])
def test_windows_of_any_length_up_to_ten_seconds_are_explained(window_s: float, evidence: int) -> None:
    config = explainer_config(window_s, evidence=evidence)
    assert isinstance(config.classifier, ClapConfig)
    classifier = small_clap(config.classifier, config.front_end)
    torch.manual_seed(0)
    explainer = Explainer(config, classifier, build_decoder(config, classifier))
    n = config.front_end.window_samples
    waveforms = torch.cat([noise(1, n), tone(1000, n, 48_000)])
    explanation = explainer.explain_windows(waveforms)
    assert explanation.mask.shape == (2, 513, config.front_end.n_frames)
    assert explanation.embedding.shape == (2, 16)
    np.testing.assert_allclose(explanation.probabilities.sum(axis=1), 1, atol=1e-5)
    together = explanation.masked_in + explanation.masked_out
    # The two parts are the whole, but for the grid of 16 bits, and for what a gain took to stay within full scale.
    if not explanation.gain_db_in.any() and not explanation.gain_db_out.any():
        np.testing.assert_allclose(together, waveforms.numpy(), atol=1e-4)
    if evidence:
        asked = explainer.explain_windows(waveforms, targets="topk:2")
        np.testing.assert_array_equal(asked.mask[::2], explanation.mask)
        assert (asked.mask[1::2] != explanation.mask).any()


@pytest.mark.slow
def test_without_a_clap_transformers_is_never_imported() -> None:
    code = (
        "import sys; from pipeline.lmac.explainer import Explainer; Explainer.load('scenes'); "
        "import pipeline.models.clap.audio; assert 'transformers' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def test_what_a_configuration_builds_is_what_it_says() -> None:
    built = build_classifier(explainer_config(5.0))
    assert isinstance(built, ClapClassifier)
    assert built.representation_channels == (1, 8, 8, 16, 32, 64)
    assert built.n_classes == 3


def test_its_layers_are_randomised_from_the_projection_down_to_the_input_and_all_of_them() -> None:
    classifier = small_clap()
    layers = layers_from_the_top(classifier)
    assert ".audio_projection." in layers[0]
    assert layers[-1].endswith("batch_norm")
    assert [name[-1] for name in layers if ".layers." in name] == ["3", "2", "1", "0"]
    *_, (_, worst) = randomised(classifier, 0)
    kept = classifier.state_dict()
    same = [name for name, weight in worst.named_parameters() if weight.ndim > 1 and torch.equal(weight, kept[name])]
    assert same == []
