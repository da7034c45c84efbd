"""CNN10 of PANNs (Kong et al. 2020, arXiv 1912.10211), starting from the linear magnitude."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from itertools import pairwise
from typing import cast

from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

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
        self.norm1: nn.Module = nn.BatchNorm2d(channels_out)
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, padding=1, bias=False)
        self.norm2: nn.Module = nn.BatchNorm2d(channels_out)
        # One module for each call: attribution methods put hooks on them.
        self.relu1 = nn.ReLU()
        self.relu2 = nn.ReLU()
        # ceil_mode lets a spectrogram of any length, down to one frame, pass all four blocks.
        self.pool = nn.AvgPool2d(2, ceil_mode=True)

    def fold(self) -> None:
        """Fold the fixed scale and shift of the normalisation into the convolutions."""
        self.conv1, self.norm1 = fuse_conv_bn_eval(self.conv1, cast(nn.BatchNorm2d, self.norm1)), nn.Identity()
        self.conv2, self.norm2 = fuse_conv_bn_eval(self.conv2, cast(nn.BatchNorm2d, self.norm2)), nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu1(self.norm1(self.conv1(x)))
        x = self.relu2(self.norm2(self.conv2(x)))
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
        self.relu = nn.ReLU()
        self.classify = nn.Linear(config.embedding, n_classes)

    @property
    def representation_channels(self) -> tuple[int, ...]:
        return (1, *self.config.channels)

    @property
    def last_block(self) -> nn.Module:
        return self.blocks[-1]

    def folded(self) -> Cnn10:
        copy = deepcopy(self).eval()
        for block in copy.blocks:
            cast(ConvBlock, block).fold()
        return copy

    def from_log_mel(self, log_mel: Tensor, shifts: Sequence[Tensor] = ()) -> ClassifierOutput:
        x = self.norm0(log_mel.transpose(1, 2)).transpose(1, 2).unsqueeze(1)
        representations = [x]
        plain = 1 + len(self.blocks) - len(shifts)
        for depth, block in enumerate(self.blocks):
            x = self.dropout(block(x if depth < plain else x + shifts[depth - plain].to(x.dtype)))
            representations.append(x)
        x = x + shifts[-1].to(x.dtype) if shifts else x
        x = x.float().mean(dim=3)
        x = x.amax(dim=2) + x.mean(dim=2)
        with self.float32():
            embedding = self.relu(self.embed(self.dropout(x)))
            return ClassifierOutput(self.classify(self.dropout(embedding)), embedding, tuple(representations))
