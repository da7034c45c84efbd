"""Weights as laion-clap names them, shared by the tests of its checkpoints."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from pipeline.models.clap import laion
from tests.models.clap.make import SMALL, small_clap


@pytest.fixture
def small_laion(monkeypatch: pytest.MonkeyPatch) -> dict[str, Tensor]:
    """The weights of a laion-clap checkpoint that has our small sizes."""
    monkeypatch.setitem(laion.SIZES, 8, SMALL)
    state: dict[str, Tensor] = {"logit_scale_a": torch.tensor(3.0), "logit_scale_t": torch.tensor(4.0)}
    own = small_clap().htsat.weights.state_dict()
    for name, weight in own.items():
        theirs = laion.laion_name(name)
        # Query comes before key and value in their one matrix.
        if ".query." in name:
            weight = torch.cat([own[name.replace("query", part)] for part in ("query", "key", "value")])
        if ".key." not in name and ".value." not in name:
            state[theirs] = weight
    harmless = ("tscam_conv.weight", "layers.0.blocks.0.attn_mask", "spectrogram_extractor.stft.conv_real.weight")
    state |= {f"audio_branch.{name}": torch.zeros(2) for name in harmless}
    return state | {"audio_transform.sequential.0.bias": torch.zeros(2), "text_branch.pooler.bias": torch.zeros(3)}
