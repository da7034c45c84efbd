"""Checkpoints of CLAP with random weights in their real shapes, as laion-clap and transformers write them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from pipeline.models.clap.originals import LaionAudio

# Log-mels lie some 40 dB below full scale, within some 15 dB of that.
MEAN_DB, VARIANCE_DB = -40.0, 200.0


def randomised(module: nn.Module, seed: int = 0) -> nn.Module:
    """A module in evaluation mode, all its weights drawn anew, the running statistics of its normalisations too."""
    generator = torch.Generator().manual_seed(seed)
    fixed = ("spectrogram_extractor", "logmel_extractor", "attn_mask", "logit_scale")
    with torch.no_grad():
        for name, value in module.state_dict().items():
            if not value.is_floating_point() or any(part in name for part in fixed):
                continue
            drawn = torch.randn(value.shape, generator=generator)
            of_log_mel = "bn0" in name or "encoder.batch_norm" in name
            if name.endswith("running_mean"):
                value.copy_(MEAN_DB + 5 * drawn if of_log_mel else 0.1 * drawn)
            elif name.endswith("running_var"):
                value.copy_((VARIANCE_DB if of_log_mel else 1.0) * (0.5 + drawn.abs()))
            elif value.ndim == 1:
                value.copy_(1 + 0.2 * drawn if name.endswith("weight") else 0.1 * drawn)
            elif "bias_table" in name:
                value.copy_(drawn)
            else:
                value.copy_(drawn / value[0].numel() ** 0.5)
    return module.eval()


def save_laion(model: LaionAudio, path: Path) -> None:
    """A training checkpoint as laion's are: names after `module.`, scores as numpy scalars, a text branch."""
    text = {"text_branch.embeddings.position_ids": torch.arange(514)[None], "text_projection.0.bias": torch.zeros(512)}
    state = {f"module.{name}": value for name, value in {**model.state_dict(), **text}.items()}
    torch.save({"epoch": 15, "name": "random", "top": np.float64(0.9), "state_dict": state, "optimizer": {}}, path)


def huggingface_clap(audio: Mapping[str, Any], seed: int = 0) -> nn.Module:
    """A ClapModel with random weights, whose text branch is a small one."""
    from transformers import ClapConfig, ClapModel

    text = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    return randomised(ClapModel(ClapConfig(text_config={**text, "vocab_size": 100}, audio_config=dict(audio))), seed)


def save_huggingface(model: Any, directory: Path, fusion: bool) -> None:
    """A ClapModel and its feature extractor as laion's are on the hub."""
    from transformers import ClapFeatureExtractor

    model.save_pretrained(directory)
    truncation = "fusion" if fusion else "rand_trunc"
    ClapFeatureExtractor(frequency_min=50, frequency_max=14_000, truncation=truncation).save_pretrained(directory)
