from __future__ import annotations

import numpy as np
import pytest
import torch

from pipeline.evaluation.batch import class_probabilities, classify_windows
from pipeline.evaluation.measure import soft_scores
from pipeline.lmac.explainer import Explainer
from pipeline.lmac.masking import quantised
from schemas.evaluation_tables import SPECTRAL, WRITTEN
from tests.evaluation.make import LowOrHigh, window_batch
from tests.models.make import CONFIG, noise, small_models


def scores_of(mask: torch.Tensor) -> dict[str, float]:
    one = window_batch()
    (scores,) = soft_scores(LowOrHigh(), one, [quantised(mask.expand_as(one.magnitude))], "magnitude")
    return {name: value.item() for name, value in scores.items()}


def test_every_score_of_the_table_is_there_in_its_order() -> None:
    assert tuple(scores_of(torch.ones(1, 1, 1))) == (*SPECTRAL, *WRITTEN)


def test_a_mask_of_ones_loses_nothing_and_shows_its_size() -> None:
    got = scores_of(torch.ones(1, 1, 1))
    assert (got["ad"], got["fid_in"], got["sps"], got["mask_mean"]) == (0, 1, pytest.approx(0, abs=1e-6), 1)
    assert got["energy_kept"] == pytest.approx(1)
    assert got["p_in_audio"] == pytest.approx(got["p"], abs=1e-3)


def test_an_empty_mask_leaves_the_decision_outside() -> None:
    got = scores_of(torch.zeros(1, 1, 1))
    assert (got["ff"], got["keep"], got["mask_mean"], got["energy_kept"]) == (0, 1, 0, 0)
    assert got["p_in"] == pytest.approx(0.5)
    assert got["p_out_audio"] == pytest.approx(got["p"], abs=1e-3)


def test_half_of_everything_keeps_a_quarter_of_the_energy() -> None:
    got = scores_of(torch.full((1, 1, 1), 0.5))
    assert got["energy_kept"] == pytest.approx(0.25, abs=0.003)


def test_several_masks_are_scored_as_each_alone() -> None:
    one = window_batch(3)
    masks = [quantised(torch.rand(one.magnitude.shape, generator=torch.Generator().manual_seed(k))) for k in range(3)]
    together = soft_scores(LowOrHigh(), one, masks, "magnitude")
    for mask, scores in zip(masks, together, strict=True):
        (alone,) = soft_scores(LowOrHigh(), one, [mask], "magnitude")
        for name, value in scores.items():
            assert torch.allclose(value, alone[name], atol=1e-5), name


@pytest.mark.parametrize("domain", ["magnitude", "log1p"])
def test_the_scores_are_those_of_the_explainer(domain: str) -> None:
    classifier, decoder = small_models()
    explainer = Explainer(CONFIG.model_copy(update={"mask_domain": domain}), classifier, decoder)
    waveform = noise(2, CONFIG.front_end.window_samples)
    explanation = explainer.explain_windows(waveform)
    classifier = explainer.passes.folded
    one = classify_windows(classifier, waveform, torch.arange(2))
    (scores,) = soft_scores(classifier, one, [torch.from_numpy(explanation.mask)], domain)
    for name, value in explanation.scores.items():
        np.testing.assert_allclose(scores[name], value, rtol=1e-4, atol=1e-4, err_msg=name)


@pytest.mark.parametrize("rows", [1, 4, 5, 64])
def test_inputs_are_heard_the_same_however_many_at_once(rows: int) -> None:
    one = window_batch(2)
    inputs = [one.magnitude * share for share in (0.0, 0.5, 1.0)]
    probabilities = class_probabilities(LowOrHigh(), iter(inputs), rows)
    assert probabilities.shape == (3, 2, 2)
    for k, sound in enumerate(inputs):
        assert torch.allclose(probabilities[k], LowOrHigh()(sound).logits.softmax(1), atol=1e-6)
