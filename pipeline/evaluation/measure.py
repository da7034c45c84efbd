"""Score soft masks: spectrally, and by classifying the written audio again."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from pipeline.evaluation.batch import WindowBatch
from pipeline.lmac.masking import listenables
from pipeline.lmac.scores import score_audio, score_masks
from pipeline.models.classifier import Classifier
from schemas.evaluation_tables import SPECTRAL, WRITTEN


def listenable(classifier: Classifier, batch: WindowBatch, masked: Tensor) -> Tensor:
    """Return the written waveform `[B, n]` of a masked magnitude `[B, F, T]`: original phase, 16 bits."""
    return listenables(classifier.front_end, masked, batch.stft, batch.waveform.shape[1])[0]


@torch.no_grad()
def soft_scores(
    classifier: Classifier, batch: WindowBatch, masks: Sequence[Tensor], domain: str
) -> list[dict[str, Tensor]]:
    """Compute all scores `[B]` of each of several masks `[B, F, T]` in 255ths, by the names of the scores table.

    `domain` says what the mask multiplies. Names in `_audio` are scores of the written waveforms, classified again.
    """
    results = []
    for levels in masks:
        scores, masked = score_masks(classifier, batch.magnitude, levels, batch.full, batch.target, domain)
        sound, _ = listenables(classifier.front_end, masked, batch.stft, batch.waveform.shape[1])
        scores |= score_audio(classifier, sound, batch.full, batch.target)
        results.append({name: scores[name] for name in (*SPECTRAL, *WRITTEN)})
    return results
