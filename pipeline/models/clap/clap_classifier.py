"""CLAP's audio branch as a classifier over linear magnitudes; its classes are prompts or those of a linear head."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy

import torch
from torch import Tensor, nn

from pipeline.models.clap.htsat import Htsat
from pipeline.models.classifier import Classifier, ClassifierOutput
from pipeline.models.frontend import FrontEnd
from schemas.explainer_config import ClapConfig, FrontEndConfig


class ClapClassifier(Classifier):
    """Linear magnitude `[B, F, T]` -> log-mel -> HTSAT -> embedding `[B, D]` of length 1 -> logits.

    With a bank of classes the logits are `logit_scale` times the cosine to `class_embeddings` `[n_classes, D]`, rows of
    length 1 (Wu et al. 2023, arXiv 2211.06687, section 2); with a linear head they are its output for the embedding.
    Raises ValueError if the front end does not fit, and for magnitudes of more frames than CLAP takes at once.
    """

    class_embeddings: Tensor
    logit_scale: Tensor

    def __init__(self, config: ClapConfig, front_end: FrontEndConfig, n_classes: int) -> None:
        super().__init__()
        config.check_front_end(front_end)
        self.config = config
        self.n_classes = n_classes
        self.front_end = FrontEnd(front_end)
        self.htsat = Htsat(config, front_end.n_mels, config.clip_frames(front_end))
        self.classify = nn.Linear(config.projection, n_classes) if config.head == "linear" else None
        if self.classify is None:
            random = nn.functional.normalize(torch.randn(n_classes, config.projection), dim=1)
            self.register_buffer("class_embeddings", random)
            self.register_buffer("logit_scale", torch.tensor(1 / 0.07))

    @property
    def representation_channels(self) -> tuple[int, ...]:
        return (1, self.config.channels, *self.config.stage_channels)

    @property
    def last_block(self) -> nn.Module:
        return self.htsat.grids[-1]

    def prompt_embeddings(self, classes: Tensor) -> Tensor:
        if self.classify is not None:
            raise NotImplementedError("the classes of a linear head are not prompts")
        return self.class_embeddings[classes]

    def with_class_embeddings(self, embeddings: Tensor) -> ClapClassifier:
        """Return a copy with other class embeddings `[n, D]` of length 1; its configuration names no prompts."""
        other = deepcopy(self)
        other.config = self.config.model_copy(update={"prompts": (), "templates": ()})
        other.class_embeddings = embeddings.to(self.class_embeddings)
        other.n_classes = len(embeddings)
        return other

    def from_log_mel(self, log_mel: Tensor, shifts: Sequence[Tensor] = ()) -> ClassifierOutput:
        silence = self.front_end.log_mel(log_mel.new_zeros(1, self.front_end.config.n_freq, 1))[0, 0]
        projected, representations = self.htsat(log_mel, silence, shifts)
        embedding = nn.functional.normalize(projected, dim=1)
        with self.float32():
            if self.classify is not None:
                return ClassifierOutput(self.classify(embedding), embedding, representations)
            logits = self.logit_scale * embedding @ self.class_embeddings.T
            return ClassifierOutput(logits, embedding, representations)
