"""A batch of windows with what the classifier says about them, shared by everything that is measured on it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline.models.classifier import Classifier

# Inputs per pass: of 1 to 16 the quickest for CNN10 on one CPU thread.
ROWS = 4


@dataclass(frozen=True)
class WindowBatch:
    """Windows numbered `indices` `[B]`: waveform `[B, n]`, complex STFT and magnitude `[B, F, T]`, class
    probabilities `full` `[B, C]` of the whole, and the class explained, `target` `[B]`."""

    indices: Tensor
    waveform: Tensor
    stft: Tensor
    magnitude: Tensor
    full: Tensor
    target: Tensor

    def first(self, count: int) -> WindowBatch:
        """The first windows alone."""
        fields = (self.indices, self.waveform, self.stft, self.magnitude, self.full, self.target)
        return WindowBatch(*(field[:count] for field in fields))


@torch.no_grad()
def classify_windows(
    classifier: Classifier, waveform: Tensor, indices: Tensor, target: Tensor | None = None
) -> WindowBatch:
    """One pass over waveforms `[B, n]`; the class explained is the decision, unless `target` `[B]` is given."""
    stft = classifier.front_end.stft(waveform)
    magnitude = stft.abs()
    full = classifier(magnitude).logits.softmax(1)
    return WindowBatch(indices, waveform, stft, magnitude, full, full.argmax(1) if target is None else target)


@torch.no_grad()
def class_probabilities(classifier: Classifier, inputs: Iterable[Tensor], rows: int = ROWS) -> Tensor:
    """Class probabilities `[K, B, C]` of K inputs `[B, F, T]`, made one by one, classified several at once."""
    results: list[Tensor] = []
    waiting: list[Tensor] = []
    batch = 0

    def flush() -> None:
        if waiting:
            results.append(classifier(torch.cat(waiting)).logits.softmax(1))
            waiting.clear()

    for one in inputs:
        batch = len(one)
        waiting.append(one)
        if (len(waiting) + 1) * batch > rows:
            flush()
    flush()
    return torch.cat(results).unflatten(0, (-1, batch))
