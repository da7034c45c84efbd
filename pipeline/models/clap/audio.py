"""The audio branch of a CLAP checkpoint on this machine: its sizes, its front end and its weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from pydantic import ValidationError
from torch import Tensor

from pipeline.models.clap import ClapError, huggingface, laion
from pipeline.models.clap.clap_classifier import ClapClassifier
from pipeline.models.clap.htsat import audio_config
from pipeline.models.clap.weights import logit_scale
from schemas.errors import in_a_line
from schemas.explainer_config import ClapConfig, FrontEndConfig


@dataclass(frozen=True)
class ClapAudio:
    """The audio branch of a checkpoint, without classes; `weights` have transformers' names."""

    config: ClapConfig
    front_end: FrontEndConfig
    weights: Mapping[str, Tensor]
    logit_scale: float

    def with_bank(
        self,
        class_embeddings: Tensor,
        prompts: Sequence[str] = (),
        templates: Sequence[str] = (),
        text_encoder: str = "",
    ) -> ClapClassifier:
        """Build a classifier in evaluation mode whose classes are text embeddings `[n_classes, D]` of length 1.

        Raises ValueError if they have another shape.
        """
        size = self.config.projection
        lengths = class_embeddings.norm(dim=-1)
        if class_embeddings.ndim != 2 or class_embeddings.shape[1] != size or bool((lengths - 1).abs().max() > 1e-3):
            raise ValueError(f"class embeddings must be [n_classes, {size}], of length 1, got {class_embeddings.shape}")
        named = {"prompts": tuple(prompts), "templates": tuple(templates), "text_encoder": text_encoder}
        classifier = self._classifier({**named, "head": "bank"}, len(class_embeddings))
        classifier.class_embeddings.copy_(class_embeddings)
        classifier.logit_scale.fill_(self.logit_scale)
        return classifier

    def with_linear_head(self, n_classes: int) -> ClapClassifier:
        """Build a classifier with a linear head of random weights, to be trained."""
        return self._classifier({"head": "linear"}, n_classes)

    def _classifier(self, head: Mapping[str, object], n_classes: int) -> ClapClassifier:
        classifier = ClapClassifier(self.config.model_copy(update=dict(head)), self.front_end, n_classes)
        own = classifier.htsat.weights.state_dict()
        classifier.htsat.weights.load_state_dict({**own, **self.weights})
        return classifier.eval()


def load_clap_audio(path: str | Path, window_s: float | None = None) -> ClapAudio:
    """Read the audio branch of a laion-clap checkpoint file, or of a directory of a Hugging Face ClapModel.

    `window_s` is the length of the windows in seconds: by default, and at most, that of CLAP's training. Nothing is
    unpickled, and the text branch is not kept. Raises ClapError if `path` is no such checkpoint, if a weight is
    missing, unexpected or of the wrong shape, and for windows longer than CLAP takes.
    """
    path = Path(path)
    if path.is_dir():
        clap = _from_directory(path)
    elif path.is_file():
        clap = _from_file(path)
    else:
        raise ClapError(f"{path} is neither a file nor a directory: give a checkpoint of CLAP")
    front_end = clap.front_end if window_s is None else clap.front_end.model_copy(update={"window_s": window_s})
    try:
        # Validated again, as model_copy does not validate.
        front_end = FrontEndConfig.model_validate(front_end.model_dump())
        clap.config.check_front_end(front_end)
    except ValidationError as error:
        raise ClapError(f"{path}: {in_a_line(error)}") from None
    except ValueError as error:
        raise ClapError(f"{path}: {error}") from None
    return ClapAudio(clap.config, front_end, clap.weights, clap.logit_scale)


def _from_file(path: Path) -> ClapAudio:
    weights = laion.read_laion(path)
    config = laion.laion_sizes(weights, path)
    laion.check_mel_filters(weights, path)
    front_end = laion.FUSION_FRONT_END if config.fusion else laion.FRONT_END
    taken = laion.audio_weights(weights, _wanted(config, front_end), path)
    return ClapAudio(config, front_end, taken, logit_scale(weights, path))


def _from_directory(path: Path) -> ClapAudio:
    audio = huggingface.read_audio_config(path)
    extractor = huggingface.read_extractor(path)
    front_end = huggingface.front_end_config(extractor, path)
    config = huggingface.clap_config(audio, extractor, path)
    weights, file = huggingface.read_weights(path)
    taken = huggingface.audio_weights(weights, _wanted(config, front_end), file)
    return ClapAudio(config, front_end, taken, logit_scale(weights, file))


def _wanted(config: ClapConfig, front_end: FrontEndConfig) -> dict[str, Tensor]:
    from transformers.models.clap.modeling_clap import ClapAudioModelWithProjection

    with torch.device("meta"):
        model = ClapAudioModelWithProjection(audio_config(config, front_end.n_mels))
    # Buffers that follow from sizes, and counters of batches, are not weights.
    return {name: weight for name, weight in model.state_dict().items() if not name.endswith(huggingface.DERIVED)}
