"""What an explainer needs from a classifier: logits, an embedding, and representations at several depths."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pipeline.models.frontend import FrontEnd


@dataclass(frozen=True)
class ClassifierOutput:
    """What a classifier makes of a batch.

    logits `[B, n_classes]`; embedding `[B, D]`; representations, shallow to deep, each
    `[B, C_i, T_i, M_i]` with time and mel frequency laid out as in the log-mel `[B, T, n_mels]`, each of half the
    size of the one before, rounded up; the first of them is the standardised log-mel itself, `[B, 1, T, n_mels]`.
    """

    logits: Tensor
    embedding: Tensor
    representations: tuple[Tensor, ...]


class Classifier(nn.Module, ABC):
    """A frozen or trainable audio classifier over *linear magnitudes* `[B, F, T]`."""

    front_end: FrontEnd
    n_classes: int

    @property
    def device(self) -> torch.device:
        """Where the classifier computes."""
        return self.front_end.window.device

    @property
    @abstractmethod
    def representation_channels(self) -> tuple[int, ...]:
        """Channels of each representation, in the order of `ClassifierOutput.representations`."""

    def forward(self, magnitude: Tensor, shifts: Sequence[Tensor] = ()) -> ClassifierOutput:
        """Classify linear magnitudes `[B, F, T]`, for any number of frames.

        `shifts` are added to as many of the deepest representations, for all that follows them: the gradient of a logit
        with respect to a shift of zeros is that with respect to the representation, and a compiled classifier has it.
        Under autocast the log-mel and the logits stay in float32: what lies between them need not.
        """
        return self.from_log_mel(self.front_end.log_mel(magnitude), shifts)

    def shifts(self, magnitude: Tensor, count: int) -> list[Tensor]:
        """Zeros that require a gradient, for the `count` deepest representations of magnitudes `[B, F, T]`."""
        channels = self.representation_channels
        sizes = (magnitude.shape[2], self.front_end.config.n_mels)
        depths = range(len(channels) - count, len(channels))
        return [
            magnitude.new_zeros(len(magnitude), channels[k], *(-(-size // 2**k) for size in sizes)).requires_grad_()
            for k in depths
        ]

    def folded(self) -> Classifier:
        """The same up to rounding for inference alone, in less time where it can: a copy, or the classifier itself."""
        return self.eval()

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

    def from_log_mel(self, log_mel: Tensor, shifts: Sequence[Tensor] = ()) -> ClassifierOutput:
        """Classify log-mels `[B, T, n_mels]` of the front end, as `forward` does those of its magnitudes.

        Raises NotImplementedError where a classifier's input is not the front end's log-mel.
        """
        raise NotImplementedError(f"{type(self).__name__} does not take a log-mel")

    def float32(self) -> torch.autocast:
        """A block in which nothing is computed in less than float32, whatever the precision around it."""
        return torch.autocast(self.device.type, enabled=False)
