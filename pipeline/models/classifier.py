"""What an explainer needs from a classifier: logits, an embedding, and representations at several depths."""

from __future__ import annotations

from abc import ABC, abstractmethod
from copy import deepcopy
from dataclasses import dataclass

from torch import Tensor, nn

from pipeline.models.frontend import FrontEnd


@dataclass(frozen=True)
class ClassifierOutput:
    """What a classifier makes of a batch.

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

    def folded(self) -> Classifier:
        """A copy for inference alone that computes the same, up to rounding, in less time where it can."""
        return deepcopy(self).eval()

    @property
    def last_block(self) -> nn.Module:
        """The last module whose output `[B, C, T', M']` lies in time and mel bands as the log-mel does, for GradCAM.

        Raises NotImplementedError where a classifier has none.
        """
        raise NotImplementedError(f"{type(self).__name__} has no last convolutional block")

    def prompt_embeddings(self, classes: Tensor) -> Tensor:
        """Text embeddings `[B, D]` of length 1, of the prompts that are the classes `[B]`.

        Raises NotImplementedError where classes are not prompts.
        """
        raise NotImplementedError(f"{type(self).__name__} has no prompts")

    def from_log_mel(self, log_mel: Tensor) -> ClassifierOutput:
        """Classify log-mels `[B, T, n_mels]` of the front end, as `forward` does those of its magnitudes.

        Raises NotImplementedError where a classifier's input is not the front end's log-mel.
        """
        raise NotImplementedError(f"{type(self).__name__} does not take a log-mel")
