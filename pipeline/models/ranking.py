"""A decoder beside its classifier: from magnitudes to a ranking of their bins."""

from __future__ import annotations

from torch import Tensor

from pipeline.models.classifier import Classifier, ClassifierOutput
from pipeline.models.decoder import Decoder
from pipeline.models.evidence import classify_with_evidence
from pipeline.models.film import prompt_features


def rank_bins(
    decoder: Decoder, classifier: Classifier, magnitude: Tensor, target: Tensor | None = None
) -> tuple[ClassifierOutput, Tensor, Tensor]:
    """The classifier's output, the classes explained `[B]`, and the mask's logits, for magnitudes `[B, F, T]`.

    `target` `[B]` are the classes to explain, by default the classifier's decisions. Gradients reach the decoder's
    weights only.
    """
    output, y, features = classify_with_evidence(classifier, magnitude, target, decoder.evidence, decoder.prompted)
    condition = prompt_features(classifier.prompt_embeddings(y), output.embedding) if decoder.prompted else None
    return output, y, decoder(features, magnitude, condition)
