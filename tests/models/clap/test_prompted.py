"""A decoder that is conditioned on a prompt: what it takes, and what it must not depend on."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import normalize

from pipeline.models.build import build_decoder
from pipeline.models.clap.clap_classifier import ClapClassifier
from pipeline.models.cnn10 import Cnn10
from pipeline.models.decoder import Decoder
from pipeline.models.film import Film, n_prompt_features, prompt_features
from pipeline.models.ranking import rank_bins
from schemas.explainer_config import Cnn10Config, DecoderConfig, ExplainerConfig, FrontEndConfig
from tests.models.clap.make import FRONT_END, SMALL, small_clap

SHORT = FRONT_END.model_copy(update={"window_s": 1.0})
CLAP = small_clap(front_end=SHORT, n_classes=4)
CONFIG = ExplainerConfig(
    name="small",
    labels=("a", "b", "c", "d"),
    front_end=SHORT,
    classifier=SMALL,
    decoder=DecoderConfig(channels=(2, 4, 4, 4, 4, 4), evidence=6, prompted=True),
)


def sound(n: int = 1) -> torch.Tensor:
    waveform = torch.randn(n, SHORT.window_samples, generator=torch.Generator().manual_seed(1)) * 0.1
    return CLAP.front_end.stft(waveform).abs()


def listening(seed: int = 0, evidence: int = 6) -> Decoder:
    """A decoder with random weights that has learnt to listen, as after a step of training."""
    assert CONFIG.decoder is not None
    torch.manual_seed(seed)
    config = CONFIG.model_copy(update={"decoder": CONFIG.decoder.model_copy(update={"evidence": evidence})})
    decoder = build_decoder(config, CLAP).eval()
    assert decoder.films is not None
    for film in decoder.films:
        assert isinstance(film, Film)
        torch.nn.init.normal_(film.out.weight, std=0.3)
    return decoder.requires_grad_(False)


def test_film_begins_as_the_identity_and_scales_and_shifts_each_channel() -> None:
    film, x, told = Film(3, 2), torch.randn(1, 2, 4, 5), torch.randn(1, 3)
    assert torch.equal(film(x, told), x)
    with torch.no_grad():
        film.out.bias.copy_(torch.tensor([1.0, -1.0, 0.5, 0.0]))
    assert torch.allclose(film(x, told)[:, 0], 2 * x[:, 0] + 0.5)
    assert torch.allclose(film(x, told)[:, 1], torch.zeros(1, 4, 5))


def test_what_is_told_ends_with_the_similarity() -> None:
    text, audio = normalize(torch.randn(2, 6, 16), dim=2)
    told = prompt_features(text, audio)
    assert told.shape == (6, n_prompt_features(16))
    assert torch.allclose(told[:, -1], 5 * (text * audio).sum(1), atol=1e-6)
    assert torch.allclose(told[:, 16:32].sum(1) / 16, (text * audio).sum(1), atol=1e-6)


@pytest.mark.parametrize("evidence", [0, 6])
def test_the_mask_of_a_prompt_does_not_depend_on_the_other_prompts(evidence: int) -> None:
    decoder = listening(evidence=evidence)
    alone = CLAP.with_class_embeddings(CLAP.class_embeddings[[2, 0]])
    _, _, among = rank_bins(decoder, CLAP, sound(), torch.tensor([2]))
    _, _, of_two = rank_bins(decoder, alone, sound(), torch.tensor([0]))
    audible = among.isfinite()
    assert torch.equal(audible, of_two.isfinite())
    assert torch.allclose(among[audible], of_two[audible], atol=1e-4)


@pytest.mark.parametrize("evidence", [0, 6])
def test_two_prompts_have_two_masks(evidence: int) -> None:
    decoder = listening(evidence=evidence)
    _, _, logits = rank_bins(decoder, CLAP, sound().expand(2, -1, -1), torch.tensor([0, 1]))
    finite = logits[:, CLAP.front_end.audible]
    assert (finite[0] - finite[1]).abs().max() > 1e-3


def test_a_decoder_that_is_not_prompted_has_one_mask_without_evidence() -> None:
    plain = DecoderConfig(channels=(2, 4, 4, 4, 4, 4), evidence=0)
    decoder = build_decoder(CONFIG.model_copy(update={"decoder": plain}), CLAP).eval()
    _, _, logits = rank_bins(decoder, CLAP, sound().expand(2, -1, -1), torch.tensor([0, 1]))
    assert torch.equal(logits[0], logits[1])


def test_a_classifier_without_text_has_nothing_to_tell_a_decoder() -> None:
    cnn = Cnn10Config(channels=(4, 4, 4, 4), embedding=8)
    front_end = FrontEndConfig()
    prompted = DecoderConfig(channels=(2, 2, 2, 2, 2), prompted=True)
    with pytest.raises(ValueError, match="this classifier has no text"):
        ExplainerConfig(name="x", labels=("a", "b"), front_end=front_end, classifier=cnn, decoder=prompted)
    classifier = Cnn10(cnn, front_end, 2)
    with pytest.raises(ValueError, match="this classifier has no text"):
        Decoder(prompted, classifier.front_end, classifier.representation_channels)
    with pytest.raises(NotImplementedError, match="Cnn10 has no prompts"):
        classifier.prompt_embeddings(torch.tensor([0]))
    linear = small_clap(SMALL.model_copy(update={"head": "linear"}))
    with pytest.raises(NotImplementedError, match="linear head are not prompts"):
        linear.prompt_embeddings(torch.tensor([0]))


def test_other_prompts_leave_the_first_classifier_as_it_was() -> None:
    before = CLAP.class_embeddings.clone()
    other = CLAP.with_class_embeddings(normalize(torch.randn(7, 16), dim=1))
    assert isinstance(other, ClapClassifier)
    assert other(sound()).logits.shape == (1, 7)
    assert torch.equal(CLAP.class_embeddings, before)
    assert torch.equal(other(sound()).embedding, CLAP(sound()).embedding)


def test_an_explainer_of_before_prompts_keeps_its_text() -> None:
    assert "prompted" not in DecoderConfig().model_dump_json()
    assert DecoderConfig.model_validate_json(DecoderConfig(prompted=True).model_dump_json()).prompted
