from __future__ import annotations

import pytest
import torch
from pydantic import ValidationError

from pipeline.models.build import build_decoder
from pipeline.models.evidence import decoder_channels
from schemas.explainer_config import DecoderConfig
from tests.models.evidence import classify_with_evidence
from tests.models.make import CONFIG, FRONT_END, noise, small_models

CNN, _ = small_models()
SOUND = noise(3, FRONT_END.n_freq, 60, amplitude=3.0).abs()
FIRST, SECOND = torch.zeros(3, dtype=torch.long), torch.ones(3, dtype=torch.long)


def test_without_evidence_the_decoder_hears_the_representations_and_nothing_of_the_class() -> None:
    output, _, heard = classify_with_evidence(CNN, SOUND, FIRST, 0)
    assert all(torch.equal(a, b) for a, b in zip(heard, output.representations, strict=True))
    assert decoder_channels(CNN, 0) == CNN.representation_channels


@pytest.mark.parametrize("evidence", [1, 3])
def test_evidence_stands_beside_the_deepest_representations(evidence: int) -> None:
    output, _, heard = classify_with_evidence(CNN, SOUND, None, evidence)
    assert tuple(h.shape[1] for h in heard) == decoder_channels(CNN, evidence)
    for h, plain in zip(heard, output.representations, strict=True):
        assert torch.equal(h[:, : plain.shape[1]], plain)
        assert not h.requires_grad
    for h, plain in list(zip(heard, output.representations, strict=True))[-evidence:]:
        added = torch.sinh(h[:, plain.shape[1] :])
        torch.testing.assert_close(added.square().mean(dim=(1, 2, 3)).sqrt(), torch.ones(3))


def test_evidence_is_the_directional_change_of_the_log_odds() -> None:
    classifier, _ = small_models()
    _, y, heard = classify_with_evidence(classifier, SOUND[:1], None, 1)
    deepest = heard[-1].chunk(2, dim=1)

    def odds(h: torch.Tensor) -> torch.Tensor:
        x = h.mean(dim=3)
        x = x.amax(dim=2) + x.mean(dim=2)
        logits = classifier.classify(torch.relu(classifier.embed(x)))[0]  # type: ignore[operator]
        others = torch.cat([logits[: y[0]], logits[y[0] + 1 :]])
        return logits[y[0]] - others.logsumexp(0)

    h, contribution = deepest[0].double(), torch.sinh(deepest[1].double())
    classifier.double()
    # Along a change of each unit by its own share, the odds change by the sum of what those units contribute.
    ratios = []
    for seed in range(3):
        share = noise(*h.shape, seed=seed, amplitude=1.0).double()
        slope = (odds(h * (1 + 1e-6 * share)) - odds(h * (1 - 1e-6 * share))) / 2e-6
        ratios.append((slope / (contribution * share).sum()).item())
    assert ratios == pytest.approx([ratios[0]] * 3, rel=1e-3)
    assert ratios[0] > 0  # what speaks for the class counts as such


def test_another_class_has_other_evidence_and_another_mask() -> None:
    config = CONFIG.model_copy(update={"decoder": DecoderConfig(channels=(4, 4, 4, 4, 4), evidence=2)})
    classifier, decoder = small_models(config=config)
    masks = []
    for target in (FIRST, SECOND):
        _, y, heard = classify_with_evidence(classifier, SOUND, target, 2)
        assert torch.equal(y, target)
        masks.append(decoder.mask(heard, SOUND))
    assert (masks[0] - masks[1]).abs().max() > 1e-3


def test_the_classifiers_own_decision_is_the_class_by_default() -> None:
    output, y, _ = classify_with_evidence(CNN, SOUND, None, 2)
    assert torch.equal(y, output.logits.argmax(1))


def test_a_window_has_the_same_evidence_in_any_batch() -> None:
    whole = classify_with_evidence(CNN, SOUND, None, 3)[2]
    alone = classify_with_evidence(CNN, SOUND[1:2], None, 3)[2]
    for a, b in zip(whole, alone, strict=True):
        torch.testing.assert_close(a[1:2], b, atol=1e-5, rtol=1e-4)


def test_the_classifier_gathers_no_gradients() -> None:
    classifier, _ = small_models()
    classify_with_evidence(classifier.requires_grad_(False), SOUND, None, 3)
    assert all(p.grad is None for p in classifier.parameters())


def test_evidence_of_more_depths_than_there_are_is_refused() -> None:
    with pytest.raises(ValidationError, match="at most the number of depths"):
        DecoderConfig(evidence=6)


def test_evidence_of_the_log_mel_is_the_slope_of_the_log_odds() -> None:
    _, y, heard = classify_with_evidence(CNN, SOUND, None, 5)
    slope, step = heard[0][:, 1].sinh(), 1e-3
    log_mel = CNN.front_end.log_mel(SOUND)

    def odds(of: torch.Tensor) -> torch.Tensor:
        logits = CNN.from_log_mel(of).logits.double()
        own = logits.gather(1, y[:, None])[:, 0]
        return own - logits.scatter(1, y[:, None], -torch.inf).logsumexp(1)

    def ratio(frames: slice, bands: slice) -> torch.Tensor:
        moved = torch.zeros_like(log_mel)
        moved[:, frames, bands] = step
        risen = (odds(log_mel + moved) - odds(log_mel - moved)) / (2 * step)
        # The slope is of the standardised log-mel.
        deviation = (CNN.norm0.running_var + CNN.norm0.eps).sqrt() / CNN.norm0.weight
        return risen / (slope / deviation)[:, frames, bands].sum(dim=(1, 2))

    # Scaled to unit RMS: what remains is one factor for each window.
    scale = ratio(slice(3, 6), slice(4, 7))
    assert (scale > 0).all()
    torch.testing.assert_close(ratio(slice(8, 12), slice(10, 14)), scale, rtol=0.05, atol=0)


def test_detail_tells_apart_the_bins_of_one_band_by_their_loudness() -> None:
    config = CONFIG.model_copy(update={"decoder": DecoderConfig(channels=(4, 4, 4, 4, 4), detail=True)})
    torch.manual_seed(0)
    decoder = build_decoder(config, CNN).eval()
    with torch.no_grad():
        decoder.out.weight.zero_()
        decoder.out.bias.copy_(torch.tensor([0.0, 1.0]))  # type: ignore[union-attr]
        logits = decoder(classify_with_evidence(CNN, SOUND, None, 0)[2], SOUND)
    audible = decoder.front_end.audible
    high = torch.nonzero(audible)[-12:, 0]  # the highest bands hold many bins
    for frame in (5, 30):
        order = SOUND[0, high, frame].argsort()
        steps = logits[0, high, frame][order].diff()
        assert (steps >= -0.2).all()
        assert steps.sum() > 0.5


def test_silence_has_no_detail() -> None:
    silent = torch.zeros(1, FRONT_END.n_freq, 10)
    assert not CNN.front_end.loudness_in_band(silent).any()
