"""The text encoder of a CLAP: transformers' module, with weights from a laion or a Hugging Face checkpoint."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from pipeline.models.clap.huggingface import read_weights
from pipeline.models.clap.laion import read_laion
from pipeline.models.clap.source import CONFIG, ClapSource
from pipeline.models.clap.weights import check_weights, clap_errors

if TYPE_CHECKING:
    from transformers.models.clap.configuration_clap import ClapTextConfig

# Position and type ids, which the module makes itself; some versions of transformers save them.
_CONSTANTS = ("text_model.embeddings.position_ids", "text_model.embeddings.token_type_ids")
# Without laion's `text_transform.`, which only its training used.
_TEXT = ("text_model.", "text_branch.", "text_projection.")


@dataclass(frozen=True)
class RobertaTower:
    """Sizes of a RoBERTa followed by laion-clap's projection; laion-clap truncates texts to `max_tokens`."""

    vocabulary: int
    hidden: int
    layers: int
    heads: int
    intermediate: int
    positions: int
    projection: int
    max_tokens: int

    def config(self) -> ClapTextConfig:
        """Convert the sizes to transformers' configuration."""
        from transformers.models.clap.configuration_clap import ClapTextConfig

        return ClapTextConfig(
            vocab_size=self.vocabulary,
            hidden_size=self.hidden,
            num_hidden_layers=self.layers,
            num_attention_heads=self.heads,
            intermediate_size=self.intermediate,
            max_position_embeddings=self.positions,
            projection_dim=self.projection,
            # RoBERTa's own value; transformers' copies of laion's checkpoints use 1e-12.
            layer_norm_eps=1e-5,
        )


# All of laion's published checkpoints were trained with it (Wu et al. 2022, arXiv 2211.06687, section 3.2).
ROBERTA_BASE = RobertaTower(
    vocabulary=50_265,
    hidden=768,
    layers=12,
    heads=12,
    intermediate=3072,
    positions=514,
    projection=512,
    max_tokens=77,
)


def build_text_tower(source: ClapSource, tower: RobertaTower) -> Any:
    """Build transformers' ClapTextModelWithProjection, frozen in evaluation mode, with a checkpoint's weights.

    Raises ClapError for a weight that is missing, unexpected or of the wrong shape, by its name in the checkpoint.
    """
    from transformers.models.clap.modeling_clap import ClapTextModelWithProjection

    config = tower.config() if source.kind == "laion" else _huggingface_config(source)
    # On the meta device no random weights are allocated; the checkpoint's tensors are assigned.
    impossible = f"{source.path}: the text encoder that it describes cannot be built"
    with torch.device("meta"), clap_errors(impossible, "give a whole checkpoint of CLAP"):
        model = ClapTextModelWithProjection(config)
    state = _weights(source, {name: weight.shape for name, weight in model.state_dict().items()})
    positions = torch.arange(config.max_position_embeddings)[None]
    state |= dict(zip(_CONSTANTS, (positions, torch.zeros_like(positions)), strict=True))
    model.load_state_dict(state, assign=True)
    return model.eval().requires_grad_(False)


def _weights(source: ClapSource, wanted: Mapping[str, Sequence[int]]) -> dict[str, Tensor]:
    """Return the weights of the text encoder in float32, by transformers' names, with the wanted shapes."""
    path, theirs = source.path, {name: name for name in wanted}
    if source.kind == "laion":
        found, theirs = read_laion(path), {name: _laion_name(name) for name in wanted}
    else:
        found, path = read_weights(path, unwanted=("audio_",))
    constants = {theirs[name] for name in _CONSTANTS}
    text = {name: weight for name, weight in found.items() if name.startswith(_TEXT) and name not in constants}
    check_weights(text, {theirs[name]: shape for name, shape in wanted.items() if name not in _CONSTANTS}, path)
    return {name: text[theirs[name]].float() for name in wanted if name not in _CONSTANTS}


def _laion_name(name: str) -> str:
    """Return laion's name of a weight: its text branch is a RobertaModel, its projection a list of layers."""
    for ours, theirs in (("text_model.", "text_branch."), ("text_projection.linear1.", "text_projection.0.")):
        if name.startswith(ours):
            return theirs + name.removeprefix(ours)
    return name.replace("text_projection.linear2.", "text_projection.2.")


def _huggingface_config(source: ClapSource) -> ClapTextConfig:
    from transformers.models.clap.configuration_clap import ClapConfig

    path = source.path / CONFIG
    with clap_errors(f"{path} is not understood", "put the checkpoint's own file there"):
        config: Any = ClapConfig.from_dict(json.loads(path.read_bytes())).text_config
    return config
