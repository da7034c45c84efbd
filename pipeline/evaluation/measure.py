"""Scores of soft masks: spectral, and of the written audio classified again."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from pipeline.evaluation.batch import WindowBatch, class_probabilities
from pipeline.lmac.masking import apply_mask, to_pcm_grid
from pipeline.lmac.scores import complexity, energy_kept, faithfulness, sparseness
from pipeline.models.classifier import Classifier
from schemas.evaluation_tables import SPECTRAL, WRITTEN


def in_255ths(mask: Tensor) -> Tensor:
    """Masks in [0, 1] as uint8, as they are stored; what is scored is the very mask that is stored."""
    return (mask * 255).round().to(torch.uint8)


def listenable(classifier: Classifier, batch: WindowBatch, masked: Tensor) -> Tensor:
    """The written waveform `[B, n]` of a masked magnitude `[B, F, T]`: original phase, 16 bits."""
    return to_pcm_grid(classifier.front_end.with_phase(masked, batch.stft, batch.waveform.shape[1]))[0]


@torch.no_grad()
def soft_scores(
    classifier: Classifier, batch: WindowBatch, masks: Sequence[Tensor], domain: str
) -> list[dict[str, Tensor]]:
    """All scores `[B]` of each of several masks `[B, F, T]` in 255ths, by the names of the table of scores.

    `domain` says what the mask multiplies. Names in `_audio` are of the written waveforms, classified again.
    """
    sides = []
    for levels in masks:
        kept = levels.float() / 255
        sides += [apply_mask(batch.magnitude, kept, domain), apply_mask(batch.magnitude, 1 - kept, domain)]
    spectral = class_probabilities(classifier, sides)
    written = class_probabilities(
        classifier, (classifier.front_end.stft(listenable(classifier, batch, side)).abs() for side in sides)
    )
    results = []
    for number, levels in enumerate(masks):
        inside, outside = 2 * number, 2 * number + 1
        scores = faithfulness(batch.full, spectral[inside], spectral[outside], batch.target)
        scores["sps"], scores["comp"] = sparseness(levels), complexity(levels)
        scores["mask_mean"] = (levels.float() / 255).mean(dim=(1, 2))
        scores["energy_kept"] = energy_kept(batch.magnitude, sides[inside])
        again = faithfulness(batch.full, written[inside], written[outside], batch.target)
        audio = {name: again[name.removesuffix("_audio")] for name in WRITTEN}
        results.append({**{name: scores[name] for name in SPECTRAL}, **audio})
    return results
