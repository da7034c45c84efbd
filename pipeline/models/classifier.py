"""The interface of classifiers for an explainer: logits, an embedding, and representations at several depths."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pipeline.models.frontend import FrontEnd


@dataclass(frozen=True)
class ClassifierOutput:
    """The output of a classifier for a batch.

    `logits` are `[B, n_classes]`, the `embedding` `[B, D]`. The `representations`, shallow to deep, are
    `[B, C_i, T_i, M_i]`, with time and mel frequency laid out as in the log-mel `[B, T, n_mels]`. The first is the
    standardised log-mel itself, `[B, 1, T, n_mels]`; each later one has half the size of the one before, rounded up.
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
        """The device on which the classifier computes."""
        return self.front_end.window.device

    @property
    @abstractmethod
    def representation_channels(self) -> tuple[int, ...]:
        """Channels of each representation, in the order of `ClassifierOutput.representations`."""

    def forward(self, magnitude: Tensor, shifts: Sequence[Tensor] = ()) -> ClassifierOutput:
        """Classify linear magnitudes `[B, F, T]`, for any number of frames.

        The k `shifts` are added to the k deepest representations, for all layers that follow. The gradient of a logit
        with respect to a shift of zeros is the gradient with respect to the representation, and this works in a
        compiled classifier too. Under autocast the log-mel and the logits stay in float32; what lies between may not.
        """
        return self.from_log_mel(self.front_end.log_mel(magnitude), shifts)

    def shifts(self, magnitude: Tensor, count: int) -> list[Tensor]:
        """Return zero shifts that require a gradient, for the `count` deepest representations of `[B, F, T]`."""
        channels = self.representation_channels
        sizes = (magnitude.shape[2], self.front_end.config.n_mels)
        depths = range(len(channels) - count, len(channels))
        return [
            magnitude.new_zeros(len(magnitude), channels[k], *(-(-size // 2**k) for size in sizes)).requires_grad_()
            for k in depths
        ]

    def folded(self) -> Classifier:
        """Return an inference-only version, equal up to rounding and faster where possible: a copy, or itself."""
        return self.eval()

    @property
    def last_block(self) -> nn.Module:
        """The last module whose output `[B, C, T', M']` is laid out in time and mel bands as the log-mel, for GradCAM.

        Raises NotImplementedError if a classifier has none.
        """
        raise NotImplementedError(f"{type(self).__name__} has no last convolutional block")

    def prompt_embeddings(self, classes: Tensor) -> Tensor:
        """Return the text embeddings `[B, D]`, of length 1, of the prompts behind the classes `[B]`.

        Raises NotImplementedError if classes are not prompts.
        """
        raise NotImplementedError(f"{type(self).__name__} has no prompts")

    def from_log_mel(self, log_mel: Tensor, shifts: Sequence[Tensor] = ()) -> ClassifierOutput:
        """Classify log-mels `[B, T, n_mels]` of the front end; `forward` does so for those of its magnitudes.

        Raises NotImplementedError if a classifier's input is not the front end's log-mel.
        """
        raise NotImplementedError(f"{type(self).__name__} does not take a log-mel")

    def float32(self) -> torch.autocast:
        """Return a context that computes in float32 at least, whatever the surrounding precision."""
        return torch.autocast(self.device.type, enabled=False)
