"""A checkpoint of laion-clap (Wu et al. 2023, arXiv 2211.06687): its audio branch under transformers' names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from pipeline.models.clap import ClapError
from pipeline.models.clap.weights import SCALE, check_finite, check_weights, only_tensors, read_torch
from pipeline.models.frontend import FrontEnd
from schemas.explainer_config import ClapConfig, FrontEndConfig

FRONT_END = FrontEndConfig(
    sample_rate=48_000,
    n_fft=1024,
    hop_length=480,
    n_mels=64,
    f_min=50.0,
    f_max=14_000.0,
    log="db",
    log_floor=1e-10,
    pad_mode="reflect",
    quantised=True,
    window_s=10.0,
)
# Used by HTSATs that take four log-mels instead of a waveform; another function of the original makes these.
FUSION_FRONT_END = FRONT_END.model_copy(update={"mel_scale": "htk", "mel_norm": "none"})

# HTSAT-tiny, -base and -large by the channels of their patches; the fixed depths reveal a missing block.
SIZES = {
    channels: ClapConfig(channels=channels, depths=depths)
    for channels, depths in ((96, (2, 2, 6, 2)), (128, (2, 2, 12, 2)), (256, (2, 2, 12, 2)))
}

_TEXT = ("text_", "logit_scale_t", "token_embedding.", "positional_embedding", "ln_final.")
# Needed for training or tagging only, or computed from sizes: the tagger's head, a projection, the front end, masks.
_UNUSED = re.compile(
    r"audio_transform\.|attn_mask$|audio_branch\.(tscam_conv|head|spectrogram_extractor|logmel_extractor)\."
    r"|.*\.(attn_mask|relative_position_index|num_batches_tracked)$"
)
_FILTERS = "audio_branch.logmel_extractor.melW"
_PATCHES = "audio_branch.patch_embed.proj.weight"

# From transformers' names to laion's, applied one after another.
_RENAMED = (
    (r"^audio_model\.audio_encoder\.", "audio_branch."),
    (r"^audio_projection\.linear1\.", "audio_projection.0."),
    (r"^audio_projection\.linear2\.", "audio_projection.2."),
    (r"\.batch_norm\.", ".bn0."),
    (r"\.layernorm_before\.", ".norm1."),
    (r"\.layernorm_after\.", ".norm2."),
    (r"\.attention\.self\.(query|key|value)\.", ".attn.qkv."),
    (r"\.attention\.self\.", ".attn."),
    (r"\.attention\.output\.dense\.", ".attn.proj."),
    (r"\.intermediate\.dense\.", ".mlp.fc1."),
    (r"\.output\.dense\.", ".mlp.fc2."),
)


# DistributedDataParallel puts this before every name.
_PARALLEL = "module."


def read_laion(path: Path) -> dict[str, Tensor]:
    """Read all weights of a checkpoint, by laion-clap's names. Raises ClapError if it holds none."""
    found = read_torch(path)
    state = found.get("state_dict", found)
    if not isinstance(state, Mapping):
        raise ClapError(f"{path}: its state_dict is a {type(state).__name__}: give a checkpoint of laion-clap")
    weights = only_tensors(state, path)
    plain: dict[str, Tensor] = {}
    for name, weight in weights.items():
        short = name.removeprefix(_PARALLEL)
        if short in plain:
            raise ClapError(f"{path} has the weight {short!r} twice, with and without {_PARALLEL!r} before its name")
        plain[short] = weight
    return plain


def not_audio(name: str) -> bool:
    """Return whether a weight of laion-clap does not affect the audio branch's embedding."""
    return name.startswith(_TEXT) or _UNUSED.match(name) is not None


def laion_sizes(weights: Mapping[str, Tensor], path: Path) -> ClapConfig:
    """Return the sizes of a checkpoint's HTSAT. Raises ClapError if they are not known."""
    if _PATCHES not in weights:
        raise ClapError(
            f"{path} lacks the weight {_PATCHES!r}: it is not a checkpoint of laion-clap, or not one with HTSAT"
        )
    if not weights[_PATCHES].ndim:
        raise ClapError(f"{path}: the weight {_PATCHES!r} is a scalar, not patches: give a checkpoint of laion-clap")
    channels = len(weights[_PATCHES])
    if channels not in SIZES:
        known = ", ".join(str(size) for size in SIZES)
        raise ClapError(f"{path}: an HTSAT of {channels} channels is not known, those of {known} are")
    fusion = any(name.startswith("audio_branch.patch_embed.mel_conv2d.") for name in weights)
    return SIZES[channels].model_copy(update={"fusion": fusion})


def audio_weights(weights: Mapping[str, Tensor], wanted: Mapping[str, Tensor], path: Path) -> dict[str, Tensor]:
    """Convert the audio branch's weights to the names and shapes of transformers' `wanted` ones.

    Raises ClapError for the first weight that is missing, left over or of the wrong shape, by the checkpoint's name.
    """
    theirs = {name: laion_name(name) for name in wanted}
    shapes: dict[str, list[int]] = {SCALE: []}
    for name, laion in theirs.items():
        shape = list(wanted[name].shape)
        # laion stacks query, key and value in one matrix.
        shapes[laion] = [3 * shape[0], *shape[1:]] if _third(name) is not None else shape
    audio = {name: weight for name, weight in weights.items() if not not_audio(name)}
    check_weights(audio, shapes, path)
    taken = {}
    for name, laion in theirs.items():
        third = _third(name)
        taken[name] = audio[laion] if third is None else audio[laion].chunk(3)[third]
    return taken


def check_mel_filters(weights: Mapping[str, Tensor], path: Path) -> None:
    """Raise ClapError if a checkpoint holds the mel filters of its front end, and they differ from ours."""
    if _FILTERS in weights:
        check_finite(_FILTERS, weights[_FILTERS], path)
        theirs, ours = weights[_FILTERS].float(), FrontEnd(FRONT_END).mel_weights
        if theirs.shape != ours.shape or not torch.allclose(theirs, ours, rtol=1e-3, atol=1e-6):
            raise ClapError(f"{path}: its mel filters ({_FILTERS!r}) are not those of 64 bands from 50 Hz to 14 kHz")


def laion_name(name: str) -> str:
    """Return laion-clap's name of a weight of a ClapAudioModelWithProjection."""
    for pattern, replacement in _RENAMED:
        name = re.sub(pattern, replacement, name)
    return name


def _third(name: str) -> int | None:
    part = re.search(r"\.attention\.self\.(query|key|value)\.", name)
    return None if part is None else ("query", "key", "value").index(part[1])
