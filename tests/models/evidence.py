"""A first pass and the evidence of one class, as tests want them: at once."""

from __future__ import annotations

from torch import Tensor

from pipeline.models.classifier import Classifier, ClassifierOutput
from pipeline.models.evidence import FirstPass


def classify_with_evidence(
    classifier: Classifier, magnitude: Tensor, target: Tensor | None, evidence: int
) -> tuple[ClassifierOutput, Tensor, tuple[Tensor, ...]]:
    """The classifier's output, the classes explained (`target`, or the decisions), and what a decoder takes."""
    first = FirstPass(classifier, magnitude, evidence)
    y = first.output.logits.argmax(1) if target is None else target
    return first.output, y, first.features(y)
