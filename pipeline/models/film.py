"""Condition a decoder on a prompt by feature-wise linear modulation."""

from __future__ import annotations

import torch
from torch import Tensor, nn

_HIDDEN = 64


class Film(nn.Module):
    """Feature-wise linear modulation (Perez et al. 2018, arXiv 1709.07871): each channel scaled and shifted.

    `[B, C, T, M]` and a condition `[B, features]` -> `[B, C, T, M]`. It starts as the identity.
    """

    def __init__(self, features: int, channels: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(features, _HIDDEN)
        self.out = nn.Linear(_HIDDEN, 2 * channels)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        scale, shift = self.out(nn.functional.gelu(self.hidden(condition)))[:, :, None, None].chunk(2, dim=1)
        return x * (1 + scale) + shift


def prompt_features(text: Tensor, audio: Tensor) -> Tensor:
    """Compute the condition `[B, 2 D + 1]` for prompts and windows, from their embeddings `[B, D]` of length 1.

    It consists of the text embedding, its elementwise product with the audio embedding, and the sum of the product,
    which is their similarity; all scaled so that each entry is about 1.
    """
    product = text * audio
    size = text.shape[1]
    similarity = product.sum(dim=1, keepdim=True)
    return torch.cat([size**0.5 * text, size * product, 5 * similarity], dim=1)


def n_prompt_features(embedding: int) -> int:
    """Return the number of features that `prompt_features` makes from embeddings of size `embedding`."""
    return 2 * embedding + 1
