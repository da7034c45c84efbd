"""Plain gradient saliency (Simonyan et al. 2014, arXiv 1312.6034), the baseline a mask must beat."""

from __future__ import annotations

import torch
from torch import Tensor

from pipeline.models.classifier import Classifier


def gradient_saliency(classifier: Classifier, magnitude: Tensor, target: Tensor) -> Tensor:
    """`|d logit_y / d |X||` `[B, F, T]` of magnitudes `[B, F, T]` and class numbers y `[B]`."""
    with torch.enable_grad():
        x = magnitude.detach().clone().requires_grad_(True)
        logits = classifier(x).logits.gather(1, target[:, None]).sum()
        (gradient,) = torch.autograd.grad(logits, x)
    return gradient.abs()
