from __future__ import annotations

import numpy as np
import pytest
import torch

from pipeline.lmac.explainer import Explainer
from pipeline.lmac.objective import log_complement
from pipeline.lmac.refine import refine
from pipeline.lmac.scores import energy_kept
from tests.models.make import CONFIG, FRONT_END, noise, small_models

CLASSIFIER, DECODER = small_models()
CLASSIFIER.requires_grad_(False)
SOUND = CLASSIFIER.front_end.stft(noise(3, FRONT_END.window_samples, amplitude=0.3)).abs()


@torch.no_grad()
def start() -> tuple[torch.Tensor, torch.Tensor]:
    output = CLASSIFIER(SOUND)
    return DECODER(output.representations, SOUND), output.logits.argmax(1)


@torch.no_grad()
def cost(logits: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    mask = logits.sigmoid()
    inside, outside = CLASSIFIER(torch.cat([mask * SOUND, (1 - mask) * SOUND])).logits.chunk(2)
    return 2 * torch.nn.functional.cross_entropy(inside, y, reduction="none") - 1.5 * log_complement(outside, y)


def test_a_refined_mask_is_more_faithful_and_no_larger() -> None:
    logits, y = start()
    better = refine(CLASSIFIER, SOUND, logits, y, 20)
    assert (cost(better, y) < cost(logits, y) - 0.01).all()
    before, after = logits.sigmoid(), better.sigmoid()
    assert (after.mean(dim=(1, 2)) <= before.mean(dim=(1, 2)) + 0.02).all()
    assert (energy_kept(SOUND, after * SOUND) <= energy_kept(SOUND, before * SOUND) + 0.03).all()


def test_no_steps_change_nothing() -> None:
    logits, y = start()
    torch.testing.assert_close(refine(CLASSIFIER, SOUND, logits, y, 0), logits)


def test_a_window_is_refined_alike_in_any_batch() -> None:
    logits, y = start()
    whole = refine(CLASSIFIER, SOUND, logits, y, 4).sigmoid()
    alone = refine(CLASSIFIER, SOUND[1:2], logits[1:2], y[1:2], 4).sigmoid()
    torch.testing.assert_close(whole[1:2], alone, atol=1e-3, rtol=0)


def test_what_is_inaudible_stays_unnamed() -> None:
    logits, y = start()
    refined = refine(CLASSIFIER, SOUND, logits, y, 2)
    assert torch.equal(refined.isfinite(), logits.isfinite())


@pytest.mark.parametrize("steps", [0, 3])
def test_an_explainer_refines_when_asked(steps: int) -> None:
    explainer = Explainer(CONFIG, CLASSIFIER, DECODER)
    waveform = noise(2, FRONT_END.window_samples, amplitude=0.3).numpy()
    plain, asked = explainer.explain_windows(waveform), explainer.explain_windows(waveform, refine=steps)
    assert np.array_equal(plain.mask, asked.mask) == (steps == 0)
    assert np.array_equal(plain.probabilities, asked.probabilities)
