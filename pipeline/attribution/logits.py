"""Adapt a classifier to captum: a module from one tensor to logits, with no lasting changes to it."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn

from pipeline.attribution.method import Attribute
from pipeline.models.classifier import Classifier


class Logits(nn.Module):
    """Linear magnitudes `[B, F, T]` -> logits `[B, n_classes]`."""

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        self.classifier = classifier

    def forward(self, magnitude: Tensor) -> Tensor:
        return self.classifier(magnitude).logits


class LogMelLogits(nn.Module):
    """Log-mels `[B, T, n_mels]` -> logits `[B, n_classes]`."""

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        self.classifier = classifier

    def forward(self, log_mel: Tensor) -> Tensor:
        return self.classifier.from_log_mel(log_mel).logits


def with_gradients(attribute: Attribute) -> Attribute:
    """Wrap a method to run on a copy of the magnitude that requires a gradient, whatever the caller's mode."""

    def wrapped(magnitude: Tensor, target: Tensor) -> Tensor:
        # Autograd refuses tensors made in inference mode; copies made outside of it are ordinary.
        with torch.inference_mode(False), torch.enable_grad(), warnings.catch_warnings():
            # captum warns in each call that it sets hooks, and that it will remove them.
            warnings.filterwarnings("ignore", message=r"Setting (forward, )?backward hooks", category=UserWarning)
            relevance = attribute(magnitude.detach().clone().requires_grad_(True), target.clone())
        return relevance.detach()

    return wrapped


def row_by_row(attribute: Attribute, seed: int) -> Attribute:
    """Wrap a method to explain one window at a time, each with the same seed, so that the batch does not matter."""

    def wrapped(magnitude: Tensor, target: Tensor) -> Tensor:
        rows = []
        for i in range(len(target)):
            with _seeded(seed):
                rows.append(attribute(magnitude[i : i + 1], target[i : i + 1]))
        return torch.cat(rows)

    return wrapped


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    # captum draws from the global generators of both libraries, and does not accept another.
    before = np.random.get_state()
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        np.random.seed(seed)
        try:
            yield
        finally:
            np.random.set_state(before)
