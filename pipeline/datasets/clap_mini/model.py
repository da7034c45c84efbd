"""clap-mini as transformers' ClapModel: built from its recipe, and saved as a Hugging Face directory."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.models.clap.htsat import audio_config
from schemas.clap_mini_config import ClapMiniRecipe

if TYPE_CHECKING:
    from transformers import ClapModel, PreTrainedTokenizerFast


def build_clap(recipe: ClapMiniRecipe, tokenizer: PreTrainedTokenizerFast) -> ClapModel:
    """Build a ClapModel with random weights and an embedding for every token."""
    from transformers import ClapConfig, ClapModel, ClapTextConfig

    text = recipe.text
    pad = tokenizer.pad_token_id
    text_config = ClapTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=text.hidden,
        num_hidden_layers=text.layers,
        num_attention_heads=text.heads,
        intermediate_size=text.intermediate,
        # RoBERTa counts positions from the padding's id plus one.
        max_position_embeddings=text.max_tokens + pad + 1,
        projection_dim=recipe.audio.projection,
        pad_token_id=pad,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    config = ClapConfig(
        text_config=text_config.to_dict(),
        audio_config=audio_config(recipe.audio, recipe.front_end.n_mels).to_dict(),
        projection_dim=recipe.audio.projection,
        logit_scale_init_value=1 / recipe.training.start_temperature,
    )
    model = ClapModel(config)
    for scale in (model.logit_scale_a, model.logit_scale_t):
        scale.data.fill_(math.log(1 / recipe.training.start_temperature))
    return model


def save_clap(folder: Path, model: ClapModel, tokenizer: PreTrainedTokenizerFast, recipe: ClapMiniRecipe) -> None:
    """Write config.json, model.safetensors, the tokenizer, preprocessor_config.json, and the recipe as recipe.json."""
    from transformers import ClapFeatureExtractor

    front_end = recipe.front_end
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    ClapFeatureExtractor(
        feature_size=front_end.n_mels,
        sampling_rate=front_end.sample_rate,
        hop_length=front_end.hop_length,
        max_length_s=_whole(recipe.audio.clip_s),
        fft_window_size=front_end.n_fft,
        frequency_min=front_end.f_min,
        frequency_max=front_end.f_max,
        truncation="rand_trunc",
        padding=recipe.audio.short_windows,
    ).save_pretrained(folder)
    made = json.dumps(recipe.model_dump(mode="json"), indent=2)
    (folder / "recipe.json").write_text(made + "\n", encoding="utf-8")


def _whole(value: float) -> Any:
    # The feature extractor multiplies this by the sample rate and uses the product as a number of samples.
    return int(value) if value == int(value) else value
