"""The audio paths of laion-clap and transformers, to compare ours with.

laion-clap is not imported as a whole, which would take many seconds and request tokenizers from a hub. Only its audio
encoder is imported, and from its data module only the functions that make the encoder's input.
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
from torch import Tensor, nn

from pipeline.models.clap import ClapError, huggingface
from pipeline.models.clap.laion import laion_sizes, not_audio, read_laion
from pipeline.models.clap.source import ClapSource
from pipeline.models.clap.weights import clap_errors

# Embeddings `[B, D]` of length 1 of waveforms `[B, n]`.
Embed = Callable[[Tensor], Tensor]

_SIZE_OF_CHANNELS = {96: "tiny", 128: "base", 256: "large"}


class LaionAudio(nn.Module):
    """The audio half of laion-clap's CLAP: `encode_audio`, projection, normalisation; `size` is tiny, base or large."""

    def __init__(self, size: str, fusion: bool) -> None:
        super().__init__()
        folder = _laion_folder()
        from clap_module.htsat import create_htsat_model  # type: ignore[import-not-found]
        from clap_module.model import CLAPAudioCfp, MLPLayers  # type: ignore[import-not-found]

        settings = json.loads((folder / "clap_module" / "model_configs" / f"HTSAT-{size}.json").read_text())
        self.settings = settings["audio_cfg"]
        self.fusion = fusion
        self.audio_branch = create_htsat_model(CLAPAudioCfp(**self.settings), fusion, "aff_2d" if fusion else "None")
        self.audio_transform = MLPLayers(units=[512, 512, 512])
        self.audio_projection = nn.Sequential(nn.Linear(settings["embed_dim"], 512), nn.ReLU(), nn.Linear(512, 512))
        self.logit_scale_a = nn.Parameter(torch.tensor(np.log(1 / 0.07), dtype=torch.float32))
        self.logit_scale_t = nn.Parameter(torch.tensor(np.log(1 / 0.07), dtype=torch.float32))

    def forward(self, waveforms: Tensor, quantised: bool = True) -> Tensor:
        """Compute embeddings `[B, 512]` of waveforms `[B, n]` at 48 kHz like `get_audio_embedding_from_data`.

        That function truncates arrays to 16 bits (as `get_audio_embedding_from_filelist` does for all files), but not
        tensors.
        """
        functions, samples = laion_functions(), []
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


def load_original(source: ClapSource) -> tuple[str, Embed]:
    """Return the name of a checkpoint's original library, and its embedding of waveforms no longer than a clip.

    Raises ClapError if the library cannot load the checkpoint.
    """
    if source.kind == "laion":
        return "laion-clap", _load_laion(source.path)
    return "transformers", _load_transformers(source.path)


def _load_laion(path: Path) -> LaionAudio:
    weights = read_laion(path)
    config = laion_sizes(weights, path)
    with clap_errors(f"laion-clap cannot load {path}", "give a checkpoint that it can load"):
        model = LaionAudio(_SIZE_OF_CHANNELS[config.channels], config.fusion)
        audio = {name: weight for name, weight in weights.items() if name in model.state_dict()}
        missing = model.load_state_dict(audio, strict=False).missing_keys
    lacking = [name for name in missing if not not_audio(name)]
    if lacking:
        raise ClapError(f"{path} lacks the weight {lacking[0]!r}: it is not whole")
    return model.eval()


def _load_transformers(directory: Path) -> Embed:
    from transformers import ClapFeatureExtractor, ClapModel

    with clap_errors(f"transformers cannot load {directory}", "give a directory that it can load"):
        model: Any = ClapModel.from_pretrained(directory, local_files_only=True).eval()
        extractor: Any = ClapFeatureExtractor.from_dict(huggingface.read_extractor(directory))

    def embed(waveforms: Tensor) -> Tensor:
        rate = extractor.sampling_rate
        features = extractor([x.numpy() for x in waveforms], sampling_rate=rate, return_tensors="pt")["input_features"]
        # For a model with fusion weights, the extractor treats one clip of the batch, drawn at random, as longer.
        longer = torch.zeros(len(waveforms), 1, dtype=torch.bool)
        output = model.get_audio_features(input_features=features.float(), is_longer=longer)
        embeddings: Tensor = output.pooler_output
        return embeddings

    return embed


def _laion_folder() -> Path:
    """Find the folder of laion-clap and put it on the path, without importing the package."""
    spec = importlib.util.find_spec("laion_clap")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError("laion_clap is not installed")
    folder = Path(spec.submodule_search_locations[0])
    if str(folder) not in sys.path:
        sys.path.append(str(folder))
    return folder


@cache
def laion_functions() -> Mapping[str, Callable[..., Any]]:
    """Return laion-clap's own `get_mel`, `get_audio_features` and 16-bit rounding, from its `training/data.py`."""
    # Imported late: it takes a second, and only this needs it.
    import torchaudio
    import torchvision  # type: ignore[import-untyped]

    source = (_laion_folder() / "training" / "data.py").read_text(encoding="utf-8")
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
