"""The originals of CLAP's audio path with random weights in their real shapes, to hold ours against.

laion-clap is not imported as a whole, which takes many seconds and asks a hub for tokenizers: its audio encoder is, and
of its data module only the functions that make the encoder's input.
"""

from __future__ import annotations

import ast
import importlib.util
import json
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torchaudio
import torchvision
from torch import Tensor, nn

# Log-mels lie some 40 dB below full scale, within some 15 dB of that.
MEAN_DB, VARIANCE_DB = -40.0, 200.0


def package() -> Path:
    """The folder of laion-clap, found and put on the path without importing it."""
    spec = importlib.util.find_spec("laion_clap")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError("laion_clap is not installed")
    folder = Path(spec.submodule_search_locations[0])
    if str(folder) not in sys.path:
        sys.path.append(str(folder))
    return folder


@cache
def data_functions() -> Mapping[str, Callable[..., Any]]:
    """`get_mel`, `get_audio_features` and the rounding to 16 bits of laion-clap's `training/data.py`, as they stand."""
    source = (package() / "training" / "data.py").read_text(encoding="utf-8")
    names = ("get_mel", "get_audio_features", "int16_to_float32", "float32_to_int16")
    tree = ast.parse(source)
    tree.body = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name in names]
    scope: dict[str, Any] = {
        "torch": torch,
        "torchaudio": torchaudio,
        "torchvision": torchvision,
        "np": np,
        "F": nn.functional,
        "suppress": suppress,
    }
    exec(compile(tree, "training/data.py", "exec"), scope)
    return {name: scope[name] for name in names}


class LaionAudio(nn.Module):
    """The audio half of laion-clap's CLAP: `encode_audio`, projection, normalisation; `size` is tiny, base or large."""

    def __init__(self, size: str, fusion: bool) -> None:
        super().__init__()
        folder = package()
        from clap_module.htsat import create_htsat_model  # type: ignore[import-not-found]
        from clap_module.model import CLAPAudioCfp, MLPLayers  # type: ignore[import-not-found]

        name = "tiny" if size == "tiny" else "base"
        settings = json.loads((folder / "clap_module" / "model_configs" / f"HTSAT-{name}.json").read_text())
        self.settings = {**settings["audio_cfg"], "model_name": size}
        self.fusion = fusion
        width = settings["embed_dim"] if size != "large" else 2048
        self.audio_branch = create_htsat_model(CLAPAudioCfp(**self.settings), fusion, "aff_2d" if fusion else "None")
        self.audio_transform = MLPLayers(units=[512, 512, 512])
        self.audio_projection = nn.Sequential(nn.Linear(width, 512), nn.ReLU(), nn.Linear(512, 512))
        self.logit_scale_a = nn.Parameter(torch.tensor(np.log(1 / 0.07), dtype=torch.float32))
        self.logit_scale_t = nn.Parameter(torch.tensor(np.log(1 / 0.07), dtype=torch.float32))

    def forward(self, waveforms: Tensor, quantised: bool = True) -> Tensor:
        """Embeddings `[B, 512]` of waveforms `[B, n]` at 48 kHz, as `get_audio_embedding_from_data` makes them.

        That cuts arrays to 16 bits (as `get_audio_embedding_from_filelist` does all files), but not tensors.
        """
        functions, samples = data_functions(), []
        for waveform in waveforms:
            if quantised:
                rounded = functions["int16_to_float32"](functions["float32_to_int16"](waveform.numpy()))
                waveform = torch.from_numpy(rounded).float()
            truncating = "fusion" if self.fusion else "rand_trunc"
            samples.append(
                functions["get_audio_features"]({}, waveform, 480_000, truncating, "repeatpad", self.settings)
            )
        batch = {key: torch.stack([sample[key] for sample in samples]) for key in samples[0]}
        embedding = self.audio_projection(self.audio_branch(batch, device="cpu")["embedding"])
        return nn.functional.normalize(embedding, dim=-1)


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
    """A training checkpoint as laion's are: names after `module.`, scores as numpy's scalars, a text branch."""
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
