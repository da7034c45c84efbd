"""What an explainer needs of a classifier: logits, an embedding, and representations at several depths."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from torch import Tensor, nn

from pipeline.models.frontend import FrontEnd


@dataclass(frozen=True)
class ClassifierOutput:
    """A classifier's view of a batch.

    logits `[B, n_classes]`; embedding `[B, D]`; representations, shallow to deep, each
    `[B, C_i, T_i, M_i]` with time and mel frequency laid out as in the log-mel `[B, T, n_mels]`;
    the first of them is the standardised log-mel itself, `[B, 1, T, n_mels]`.
    """

    logits: Tensor
    embedding: Tensor
    representations: tuple[Tensor, ...]


class Classifier(nn.Module, ABC):
    """A frozen or trainable audio classifier over *linear magnitudes* `[B, F, T]`."""

    front_end: FrontEnd
    n_classes: int

    @property
    @abstractmethod
    def representation_channels(self) -> tuple[int, ...]:
        """Channels of each representation, in the order of `ClassifierOutput.representations`."""

    @abstractmethod
    def forward(self, magnitude: Tensor) -> ClassifierOutput:
        """Classify linear magnitudes `[B, F, T]`, for any number of frames."""
