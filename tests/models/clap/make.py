"""Small CLAPs with random weights for the tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.clap_originals import randomised
from pipeline.models.clap import laion
from pipeline.models.clap.clap_classifier import ClapClassifier
from schemas.explainer_config import ClapConfig, DecoderConfig, ExplainerConfig, FrontEndConfig

# As transformers hears: laion cuts to 16 bits first, and computes in single precision.
THEIRS = {"quantised": False, "precision": "double"}
FRONT_END = laion.FRONT_END.model_copy(update=THEIRS)
FUSION_FRONT_END = laion.FUSION_FRONT_END.model_copy(update=THEIRS)
SMALL = ClapConfig(channels=8, depths=(1, 1, 2, 1), heads=(2, 2, 4, 4), projection=16)
# It hears half a second at once, so that what asks it a thousand times is done in seconds.
SHORT = SMALL.model_copy(update={"image_size": 64, "depths": (1, 1), "heads": (2, 2), "clip_s": 0.5})
# The sizes of SMALL in transformers' words.
SMALL_AUDIO = {
    "patch_embeds_hidden_size": 8,
    "depths": [1, 1, 2, 1],
    "num_attention_heads": [2, 2, 4, 4],
    "hidden_size": 64,
    "projection_dim": 16,
}
SMALL_TEXT = {
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "vocab_size": 100,
}


def small_clap(
    config: ClapConfig = SMALL, front_end: FrontEndConfig = FRONT_END, n_classes: int = 3, seed: int = 0
) -> ClapClassifier:
    """A classifier of CLAP's kind with few and random weights."""
    torch.manual_seed(seed)
    classifier = ClapClassifier(config, front_end, n_classes)
    randomised(classifier.htsat, seed)
    return classifier.eval().requires_grad_(False)


def explainer_config(
    window_s: float, head: str = "bank", evidence: int = 0, sizes: ClapConfig = SMALL
) -> ExplainerConfig:
    """A small CLAP of three prompts, with a decoder."""
    classifier = ClapConfig(
        **{**sizes.model_dump(), "head": head, "prompts": ("a dog", "rain", "a bell"), "templates": ("{}",)}
    )
    return ExplainerConfig(
        name="small clap",
        labels=("a dog", "rain", "a bell"),
        front_end=FRONT_END.model_copy(update={"window_s": window_s}),
        classifier=classifier,
        decoder=DecoderConfig(channels=(2, 4, *[4] * len(sizes.depths)), evidence=evidence),
    )


def write_small(directory: Path, *, fusion: bool = False, safe: bool = True) -> Any:
    """Write a small ClapModel with random weights as Hugging Face does, and return it."""
    from transformers import ClapConfig as TheirConfig
    from transformers import ClapFeatureExtractor, ClapModel

    audio = {**SMALL_AUDIO, "enable_fusion": fusion}
    model = randomised(ClapModel(TheirConfig(text_config=SMALL_TEXT, audio_config=audio, projection_dim=16)))
    model.save_pretrained(directory)  # type: ignore[operator]
    if not safe:
        (directory / "model.safetensors").unlink()
        torch.save(model.state_dict(), directory / "pytorch_model.bin")
    truncation = "fusion" if fusion else "rand_trunc"
    ClapFeatureExtractor(frequency_min=50, frequency_max=14_000, truncation=truncation).save_pretrained(directory)
    return model


def write_laion(path: Path, state: dict[str, Tensor]) -> Path:
    """Write weights as the training of laion-clap does."""
    state = {f"module.{name}": weight for name, weight in state.items()}
    torch.save({"epoch": 3, "score": np.float64(0.5), "optimizer": {"state": {}}, "state_dict": state}, path)
    return path
