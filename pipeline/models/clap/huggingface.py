"""A directory of a Hugging Face ClapModel: the configuration and the weights of its audio branch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from torch import Tensor

from pipeline.models.clap import ClapError
from pipeline.models.clap.source import CONFIG, EXTRACTORS, WEIGHTS
from pipeline.models.clap.weights import SCALE, check_weights, clap_errors, only_tensors, read_safetensors, read_torch
from schemas.errors import in_a_line
from schemas.explainer_config import ClapConfig, FrontEndConfig

SAFETENSORS, PICKLED = WEIGHTS
EXTRACTOR, PROCESSOR = EXTRACTORS

_TEXT = ("text_model.", "text_projection.", "logit_scale_t")
DERIVED = ("relative_position_index", "num_batches_tracked")
# No published HTSAT was trained with other values, and others are not implemented here.
_FIXED = {
    "hidden_act": "gelu",
    "projection_hidden_act": "relu",
    "patch_embed_input_channels": 1,
    "flatten_patch_embeds": True,
    "enable_patch_layer_norm": True,
    "qkv_bias": True,
    "aff_block_r": 4,
    "layer_norm_eps": 1e-5,
}


def read_audio_config(directory: Path) -> dict[str, Any]:
    """Read all settings of the audio branch. Raises ClapError if there are none, or some are not implemented here."""
    # Imported late: it takes seconds, and few commands need it.
    from transformers import ClapConfig as TheirConfig

    read = _read_json(directory / CONFIG)
    if read.get("model_type") != "clap":
        raise ClapError(
            f"{directory / CONFIG} is of a model of type {read.get('model_type')!r}: give a ClapModel's directory"
        )
    with clap_errors(f"{directory / CONFIG} is not understood", "put the checkpoint's own file there"):
        config: Any = TheirConfig.from_dict(read)
        audio: dict[str, Any] = config.audio_config.to_dict()
    for name, value in _FIXED.items():
        if audio.get(name, value) != value:
            raise ClapError(f"{directory / CONFIG}: {name} must be {value!r}, got {audio[name]!r}")
    if audio.get("enable_fusion") and audio.get("fusion_type") == "channel_map":
        raise ClapError(f"{directory / CONFIG}: fusion_type 'channel_map' is not supported, the others are")
    return audio


def clap_config(audio: Mapping[str, Any], front_end: Mapping[str, Any], directory: Path) -> ClapConfig:
    """Read the sizes of the audio branch. Raises ClapError if they are inconsistent."""
    patch, stride = _one(audio["patch_size"]), _one(audio["patch_stride"])
    if patch is None or patch != stride:
        raise ClapError(f"{directory / CONFIG}: patches must be square and side by side, got {patch} every {stride}")
    try:
        config = ClapConfig.model_validate(
            {
                "image_size": audio["spec_size"],
                "patch_size": patch,
                "channels": audio["patch_embeds_hidden_size"],
                "depths": tuple(audio["depths"]),
                "heads": tuple(audio["num_attention_heads"]),
                "attention_window": audio["window_size"],
                "mlp_ratio": audio["mlp_ratio"],
                "fusion": audio["enable_fusion"],
                "projection": audio["projection_dim"],
                "clip_s": front_end["max_length_s"],
                "short_windows": front_end["padding"],
            }
        )
    except ValidationError as error:
        raise ClapError(f"{directory}: this CLAP is not supported: {in_a_line(error)}") from None
    expected, made = audio["num_mel_bins"], front_end["feature_size"]
    if expected != made:
        raise ClapError(f"{directory}: num_mel_bins is {expected}, the feature extractor makes {made}")
    return config


def read_extractor(directory: Path) -> dict[str, Any]:
    """Read all settings of the feature extractor. Raises ClapError if one is missing or not implemented here."""
    if (directory / EXTRACTOR).is_file():
        path = directory / EXTRACTOR
        read: Any = _read_json(path)
    elif (directory / PROCESSOR).is_file():
        path = directory / PROCESSOR
        read = _read_json(path).get("feature_extractor")
    else:
        raise ClapError(f"{directory} has no {EXTRACTOR}: put the checkpoint's there")
    if not isinstance(read, dict):
        raise ClapError(f"{path} has no 'feature_extractor': put the checkpoint's there")
    needed = ("sampling_rate", "fft_window_size", "hop_length", "feature_size", "frequency_min", "frequency_max")
    for name in (*needed, "max_length_s", "truncation", "padding"):
        if name not in read:
            raise ClapError(f"{path} lacks {name!r}: put the checkpoint's own file there")
    if read.get("top_db") is not None:
        raise ClapError(f"{path}: a top_db is not supported, got {read['top_db']!r}")
    if read.get("padding_value", 0.0) != 0.0:
        raise ClapError(f"{path}: padding_value must be 0, got {read['padding_value']!r}")
    if read["truncation"] not in ("fusion", "rand_trunc"):
        raise ClapError(f"{path}: truncation must be 'fusion' or 'rand_trunc', got {read['truncation']!r}")
    return dict(read)


def front_end_config(extractor: Mapping[str, Any], directory: Path) -> FrontEndConfig:
    """Return the front end that computes the same as the feature extractor. Raises ClapError if there is none."""
    slaney = extractor["truncation"] != "fusion"
    try:
        return FrontEndConfig(
            sample_rate=extractor["sampling_rate"],
            n_fft=extractor["fft_window_size"],
            hop_length=extractor["hop_length"],
            n_mels=extractor["feature_size"],
            f_min=extractor["frequency_min"],
            f_max=extractor["frequency_max"],
            log="db",
            log_floor=1e-10,
            mel_scale="slaney" if slaney else "htk",
            mel_norm="slaney" if slaney else "none",
            pad_mode="reflect",
            precision="double",
            window_s=extractor["max_length_s"],
        )
    except ValidationError as error:
        raise ClapError(f"{directory}: its feature extractor cannot be inverted: {in_a_line(error)}") from None


def read_weights(directory: Path, unwanted: tuple[str, ...] = _TEXT) -> tuple[dict[str, Tensor], Path]:
    """Read all weights, except those whose name begins with one of `unwanted` (the text branch); also return the file.

    Raises ClapError if there is none.
    """
    if (directory / SAFETENSORS).is_file():
        path = directory / SAFETENSORS
        return read_safetensors(path, unwanted), path
    if (directory / PICKLED).is_file():
        path = directory / PICKLED
        found = only_tensors(read_torch(path), path)
        return {name: weight for name, weight in found.items() if not name.startswith(unwanted)}, path
    raise ClapError(f"{directory} has neither {SAFETENSORS} nor {PICKLED}: put the checkpoint's weights there")


def audio_weights(weights: Mapping[str, Tensor], wanted: Mapping[str, Tensor], path: Path) -> dict[str, Tensor]:
    """Select the `wanted` weights; raises ClapError for the first that is missing, left over or of the wrong shape."""
    audio = {name: weight for name, weight in weights.items() if not name.endswith(DERIVED)}
    check_weights(audio, {SCALE: [], **{name: list(weight.shape) for name, weight in wanted.items()}}, path)
    return {name: audio[name] for name in wanted}


def _one(size: Any) -> int | None:
    sizes = {size} if isinstance(size, int) else set(size)
    return sizes.pop() if len(sizes) == 1 else None


def _read_json(path: Path) -> dict[str, Any]:
    try:
        read = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ClapError(f"{path} is not there: give the directory of a Hugging Face ClapModel") from None
    except (OSError, ValueError) as error:
        raise ClapError(f"{path} cannot be read: {error}") from None
    if not isinstance(read, dict):
        raise ClapError(f"{path} is not a JSON object")
    return read
