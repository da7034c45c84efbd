"""CNN10 of PANNs (Kong et al. 2020, arXiv 1912.10211), from the linear magnitude on."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from pipeline.models.classifier import Classifier, ClassifierOutput
from pipeline.models.frontend import FrontEnd
from schemas.explainer_config import Cnn10Config, FrontEndConfig


class ConvBlock(nn.Module):
    """Two 3x3 convolutions, each normalised and rectified, then 2x2 average pooling that keeps odd edges.

    `[B, C_in, T, M]` -> `[B, C_out, ceil(T / 2), ceil(M / 2)]`.
    """

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(channels_out)
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(channels_out)
        # ceil_mode: a spectrogram of any length, down to one frame, passes all four blocks.
        self.pool = nn.AvgPool2d(2, ceil_mode=True)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu_(self.norm1(self.conv1(x)))
        x = torch.relu_(self.norm2(self.conv2(x)))
        return self.pool(x)


class Cnn10(Classifier):
    """Linear magnitude `[B, F, T]` -> log-mel -> four blocks -> mean and maximum over time -> logits."""

    def __init__(self, config: Cnn10Config, front_end: FrontEndConfig, n_classes: int) -> None:
        super().__init__()
        self.config = config
        self.n_classes = n_classes
        self.front_end = FrontEnd(front_end)
        self.norm0 = nn.BatchNorm1d(front_end.n_mels)
        widths = (1, *config.channels)
        self.blocks = nn.ModuleList(ConvBlock(a, b) for a, b in pairwise(widths))
        self.dropout = nn.Dropout(config.dropout)
        self.embed = nn.Linear(config.channels[-1], config.embedding)
        self.classify = nn.Linear(config.embedding, n_classes)

    @property
    def representation_channels(self) -> tuple[int, ...]:
        return (1, *self.config.channels)

    def forward(self, magnitude: Tensor) -> ClassifierOutput:
        log_mel = self.front_end.log_mel(magnitude)
        x = self.norm0(log_mel.transpose(1, 2)).transpose(1, 2).unsqueeze(1)
        representations = [x]
        for block in self.blocks:
            x = self.dropout(block(x))
            representations.append(x)
        x = x.mean(dim=3)
        x = x.amax(dim=2) + x.mean(dim=2)
        embedding = torch.relu(self.embed(self.dropout(x)))
        return ClassifierOutput(self.classify(self.dropout(embedding)), embedding, tuple(representations))
