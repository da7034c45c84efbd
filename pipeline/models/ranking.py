"""Rank the bins of magnitudes with a decoder and its classifier."""

from __future__ import annotations

from torch import Tensor

from pipeline.models.classifier import Classifier, ClassifierOutput
from pipeline.models.decoder import Decoder
from pipeline.models.evidence import FirstPass
from pipeline.models.film import prompt_features


def rank_bins(
    decoder: Decoder, classifier: Classifier, magnitude: Tensor, target: Tensor | None = None
) -> tuple[ClassifierOutput, Tensor, Tensor]:
    """Return the classifier's output, the classes explained `[B]`, and the mask's logits, for magnitudes `[B, F, T]`.

    `target` `[B]` are the classes to explain, by default the classifier's decisions. Gradients flow to the decoder's
    weights only.
    """
    first = FirstPass(classifier, magnitude, decoder.evidence, decoder.prompted)
    y = first.output.logits.argmax(1) if target is None else target
    return first.output, y, mask_logits(decoder, classifier, first, first.features(y), magnitude, y)


def mask_logits(
    decoder: Decoder,
    classifier: Classifier,
    first: FirstPass,
    features: tuple[Tensor, ...],
    magnitude: Tensor,
    target: Tensor,
) -> Tensor:
    """Compute the mask's logits `[B, F, T]` for the classes `target` `[B]` from their `features` in the first pass."""
    condition = None
    if decoder.prompted:
        condition = prompt_features(classifier.prompt_embeddings(target), first.output.embedding)
    logits: Tensor = decoder(features, magnitude, condition)
    return logits
