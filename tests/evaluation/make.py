"""A classifier whose evidence one knows, and windows to evaluate on."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from pipeline.evaluation.batch import WindowBatch, classify_windows
from pipeline.evaluation.methods import ComparedMethod
from pipeline.inputs.window_set import WindowSet
from pipeline.models.classifier import Classifier, ClassifierOutput
from tests.models.make import CONFIG, front_end, noise, tone

N = CONFIG.front_end.window_samples
SPLIT = CONFIG.front_end.n_freq // 2


class LowOrHigh(Classifier):
    """Logits: energy in the lower and in the upper half of the bins, over all of it and the quietest that counts."""

    def __init__(self, sharpness: float = 8.0) -> None:
        super().__init__()
        self.front_end, self.n_classes, self.sharpness = front_end(), 2, sharpness

    @property
    def representation_channels(self) -> tuple[int, ...]:
        return ()

    def forward(self, magnitude: Tensor) -> ClassifierOutput:
        power = magnitude.square().sum(dim=2)
        halves = torch.stack([power[:, :SPLIT].sum(dim=1), power[:, SPLIT:].sum(dim=1)], dim=1)
        logits = self.sharpness * halves / (halves.sum(dim=1, keepdim=True) + 1.0)
        return ClassifierOutput(logits, logits, ())


def low_and_high(batch: int = 1) -> Tensor:
    """Waveforms `[B, N]`: a tone of 500 Hz, a fainter one of 6 kHz, and a little noise that differs by window."""
    sound = tone(500.0, N) + tone(6_000.0, N, amplitude=0.2)
    return sound + noise(batch, N, amplitude=0.001)


def window_batch(batch: int = 1, classifier: Classifier | None = None) -> WindowBatch:
    """`low_and_high`, classified (by `LowOrHigh`)."""
    return classify_windows(classifier or LowOrHigh(), low_and_high(batch), torch.arange(batch))


def rank_by_frequency(batch: WindowBatch, lowest_first: bool = True) -> Tensor:
    """A relevance that falls with frequency, or rises with it."""
    position = torch.arange(batch.magnitude.shape[1], dtype=torch.float32)[None, :, None]
    return (-position if lowest_first else position).expand_as(batch.magnitude)


def compared_method(name: str = "energy") -> ComparedMethod:
    """The magnitude as relevance."""
    return ComparedMethod(name, lambda one: one.magnitude, ("relu_max",), ("signed",), "magnitude", name)


def noise_windows(
    recordings: int = 6, per_clip: int = 2, labels: tuple[str | None, ...] = ("a", "b", "c")
) -> WindowSet:
    """Recordings of noise at several levels, their windows one after the other, labels in turn."""
    rng = np.random.default_rng(0)
    level = np.repeat(np.linspace(300, 6000, recordings), per_clip)[:, None]
    return WindowSet(
        samples=np.round(level * rng.standard_normal((recordings * per_clip, N)).clip(-4, 4)).astype("<i2"),
        recording_index=np.repeat(np.arange(recordings), per_clip),
        keys=tuple(f"recording-{recording}" for recording in range(recordings)),
        labels=tuple(tuple(filter(None, (labels[recording % len(labels)],))) for recording in range(recordings)),
        metadata=tuple({} for _ in range(recordings)),
        classes=CONFIG.labels,
    )
