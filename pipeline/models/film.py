"""How a decoder is told of a prompt: feature-wise modulation."""

from __future__ import annotations

import torch
from torch import Tensor, nn

_HIDDEN = 64


class Film(nn.Module):
    """Feature-wise linear modulation (Perez et al. 2018, arXiv 1709.07871): each channel scaled and shifted.

    `[B, C, T, M]` and what is told `[B, features]` -> `[B, C, T, M]`. It starts as the identity.
    """

    def __init__(self, features: int, channels: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(features, _HIDDEN)
        self.out = nn.Linear(_HIDDEN, 2 * channels)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, x: Tensor, told: Tensor) -> Tensor:
        scale, shift = self.out(nn.functional.gelu(self.hidden(told)))[:, :, None, None].chunk(2, dim=1)
        return x * (1 + scale) + shift


def prompt_features(text: Tensor, audio: Tensor) -> Tensor:
    """What a decoder is told of prompts for windows: `[B, 2 D + 1]` of embeddings `[B, D]` of length 1.

    The text's own, its product with the audio's channel by channel, and the sum of that, which is their similarity;
    scaled so that each entry is about 1.
    """
    product = text * audio
    size = text.shape[1]
    similarity = product.sum(dim=1, keepdim=True)
    return torch.cat([size**0.5 * text, size * product, 5 * similarity], dim=1)


def n_prompt_features(embedding: int) -> int:
    """The number of features that `prompt_features` makes of embeddings of a size."""
    return 2 * embedding + 1
