from __future__ import annotations

import numpy as np
import pytest
import torch

from pipeline.attribution.relevance import ranking, soft_mask
from pipeline.attribution.trained import trained
from pipeline.lmac.explainer import Explainer
from tests.models.make import CONFIG, noise, small_models

EXPLAINER = Explainer(CONFIG, *small_models())
FRONT_END = EXPLAINER.classifier.front_end
WAVEFORMS = noise(2, CONFIG.front_end.window_samples)
MAGNITUDE = FRONT_END.stft(WAVEFORMS).abs()


@pytest.mark.parametrize("steps", [0, 2])
def test_a_decoder_is_measured_by_the_very_mask_that_it_writes(steps: int) -> None:
    explanation = EXPLAINER.explain_windows(WAVEFORMS, refine=steps)
    method = trained("lmac", EXPLAINER, refine=steps)
    relevance = method.attribute(MAGNITUDE, torch.from_numpy(explanation.target_index))
    (how,) = method.masks
    levels = (soft_mask(relevance, MAGNITUDE, how) * 255).round().to(torch.uint8).numpy()
    assert np.array_equal(levels, explanation.mask)


def test_its_ranking_agrees_with_its_mask_and_is_finer() -> None:
    method = trained("lmac", EXPLAINER)
    relevance = method.attribute(MAGNITUDE[:1], torch.tensor([0]))
    order = ranking(relevance, MAGNITUDE[:1], method.rankings[0]).flatten().argsort()
    mask = soft_mask(relevance, MAGNITUDE[:1], "as_written").flatten()
    assert (mask[order].diff() >= 0).all()
    assert len(relevance.unique()) > len(mask.unique())


def test_what_the_classifier_cannot_hear_is_ranked_last() -> None:
    relevance = trained("lmac", EXPLAINER).attribute(MAGNITUDE, torch.tensor([0, 1]))
    assert (relevance[:, ~FRONT_END.audible] == -torch.inf).all()
    assert relevance[:, FRONT_END.audible].isfinite().all()


@pytest.mark.parametrize("evidence", [0, 2])
def test_a_caller_in_inference_mode_gets_the_same(evidence: int) -> None:
    decoder = CONFIG.decoder.model_copy(update={"evidence": evidence})  # type: ignore[union-attr]
    config = CONFIG.model_copy(update={"decoder": decoder})
    method = trained("lmac", Explainer(config, *small_models(config=config)))
    target = torch.tensor([0, 1])
    expected = method.attribute(MAGNITUDE, target)
    with torch.inference_mode():
        assert torch.equal(method.attribute(MAGNITUDE * 1, target * 1), expected)
