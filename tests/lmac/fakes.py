"""Classifiers and decoders simple enough to know what they must say."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import SimpleNamespace

import torch
from torch import Tensor, nn

from pipeline.lmac.explainer import Explainer
from pipeline.models.classifier import Classifier, ClassifierOutput
from pipeline.models.decoder import Decoder
from tests.models.make import CONFIG, small_models


class LinearClassifier(Classifier):
    """Logits `weights [C, F] @ magnitude`, averaged over time: the evidence lies in bins that one can read off."""

    def __init__(self, weights: Tensor, audible: Tensor | None = None) -> None:
        super().__init__()
        self.weights = nn.Parameter(weights, requires_grad=False)
        heard = weights.any(dim=0) if audible is None else audible
        self.front_end = SimpleNamespace(audible=heard, audible_bins=heard.nonzero()[:, 0])  # type: ignore[assignment]
        self.n_classes = len(weights)

    @property
    def representation_channels(self) -> tuple[int, ...]:
        return ()

    def forward(self, magnitude: Tensor) -> ClassifierOutput:
        logits = (self.weights @ magnitude).mean(dim=2)
        return ClassifierOutput(logits, logits, ())


class OracleDecoder(Decoder):
    """A decoder whose mask is known: a function of frequency bins and frames, `(F, T) -> [F, T]`."""

    def __init__(self, known: Callable[[int, int], Tensor]) -> None:
        super().__init__(CONFIG.decoder, small_models()[0].front_end, (1, *CONFIG.classifier.channels))  # type: ignore[arg-type]
        self.known = known

    def forward(self, representations: Sequence[Tensor], magnitude: Tensor, prompt: Tensor | None = None) -> Tensor:
        return torch.logit(self.known(*magnitude.shape[1:])).expand(len(magnitude), -1, -1)


def oracle_explainer(known: Callable[[int, int], Tensor], domain: str = "magnitude") -> Explainer:
    """The small classifier with a known mask."""
    config = CONFIG.model_copy(update={"mask_domain": domain})
    return Explainer(config, small_models()[0], OracleDecoder(known))


def everything(n_freq: int, n_frames: int) -> Tensor:
    """The mask that keeps all."""
    return torch.ones(n_freq, n_frames)


def nothing(n_freq: int, n_frames: int) -> Tensor:
    """The mask that keeps none."""
    return torch.zeros(n_freq, n_frames)
