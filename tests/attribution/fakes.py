"""A classifier that listens to one region of the log-mel, and whose evidence is therefore known."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pipeline.models.classifier import Classifier, ClassifierOutput
from tests.models.make import FRONT_END, front_end, noise, small_models

FRAMES = 32
SMALL = small_models()[0].requires_grad_(False)


class RegionClassifier(Classifier):
    """Logit 0 is the mean log-mel within frames and mel bands, over that of silence; logit 1 that elsewhere."""

    def __init__(self, frames: tuple[int, int], bands: tuple[int, int]) -> None:
        super().__init__()
        self.front_end = front_end()
        self.n_classes = 2
        self.region = (slice(None), slice(*frames), slice(*bands))
        self.block = nn.ReLU()

    @property
    def representation_channels(self) -> tuple[int, ...]:
        return (1,)

    @property
    def last_block(self) -> nn.Module:
        return self.block

    def forward(self, magnitude: Tensor) -> ClassifierOutput:
        return self.from_log_mel(self.front_end.log_mel(magnitude))

    def from_log_mel(self, log_mel: Tensor) -> ClassifierOutput:
        over_silence = log_mel - torch.tensor(FRONT_END.log_floor).log()
        heard = self.block(over_silence[:, None])[:, 0]
        weight = torch.zeros_like(heard)
        weight[self.region] = 1
        logits = torch.stack([(heard * w).sum(dim=(1, 2)) / w[0].sum() for w in (weight, 1 - weight)], dim=1)
        return ClassifierOutput(logits, logits, (heard[:, None],))

    def bins(self, n_frames: int) -> Tensor:
        """Bool `[F, T]`: the bins that logit 0 hears."""
        _, frames, bands = self.region
        heard = self.front_end.mel_weights[:, bands].sum(dim=1) > 0
        inside = torch.zeros(n_frames, dtype=torch.bool)
        inside[frames] = True
        return heard[:, None] & inside


def magnitude(batch: int = 2, frames: int = FRAMES, seed: int = 0, amplitude: float = 0.1) -> Tensor:
    """Linear magnitudes `[batch, F, frames]` of noise, no bin without sound."""
    return noise(batch, FRONT_END.n_freq, frames, seed=seed, amplitude=amplitude).abs() + 1e-3


def difference(classifier: Classifier, x: Tensor, target: Tensor) -> Tensor:
    """Logits `[B]` of a class, over those of silence."""
    logits = classifier(x).logits - classifier(torch.zeros_like(x)).logits
    return logits.gather(1, target[:, None])[:, 0]
