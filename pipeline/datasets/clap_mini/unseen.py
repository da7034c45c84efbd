"""Sounds that are never trained on, and the zero-shot accuracy on them during training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn.functional import normalize

from pipeline.datasets.clap_mini.wordings import EVENT_WORDS
from pipeline.datasets.scenes import CLASSES, SceneConfig, render_scene
from pipeline.models.frontend import FrontEnd
from pipeline.training.loop import Scores
from schemas.explainer_config import FrontEndConfig

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

_BATCH = 32


@dataclass(frozen=True)
class Unseen:
    """Scenes of one event as log-mels `[N, T, n_mels]`, and their class numbers `[N]`."""

    log_mel: Tensor
    label: Tensor


@torch.no_grad()
def unseen_scenes(front_end: FrontEndConfig, seed: int, count: int) -> Unseen:
    """Return the first `count` scenes of the series `seed`: classes equally often, over all kinds of background."""
    module, config = FrontEnd(front_end), SceneConfig(front_end.sample_rate, front_end.window_s)
    log_mels, labels = [], []
    for index in range(count):
        scene = render_scene(seed, index, config)
        log_mels.append(module.log_mel(module.stft(torch.from_numpy(scene.mixture)[None]).abs())[0])
        labels.append(CLASSES.index(scene.label))
    return Unseen(torch.stack(log_mels), torch.tensor(labels))


@torch.no_grad()
def event_accuracy(model: Any, tokenizer: PreTrainedTokenizerFast, unseen: Unseen) -> Scores:
    """Return the share of scenes nearest to the mean embedding of their class's trained wordings, also as `score`."""
    texts = [text for kind in CLASSES for text in EVENT_WORDS[kind].trained]
    embedded = embed_texts(model, tokenizer, texts).split([len(EVENT_WORDS[kind].trained) for kind in CLASSES])
    classes = normalize(torch.stack([of_kind.mean(dim=0) for of_kind in embedded]), dim=1)
    cosines = embed_log_mel(model, unseen.log_mel) @ classes.T
    accuracy = float((cosines.argmax(dim=1).cpu() == unseen.label).float().mean())
    return {"score": accuracy, "accuracy": accuracy}


def embed_texts(model: Any, tokenizer: PreTrainedTokenizerFast, texts: list[str]) -> Tensor:
    """Embed texts with transformers' ClapModel: `[n, D]`, of length 1."""
    batch = tokenizer(texts, padding=True, return_tensors="pt").to(model.device)
    found = model.get_text_features(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"])
    return normalize(found.pooler_output, dim=1)


def embed_log_mel(model: Any, log_mel: Tensor) -> Tensor:
    """Embed log-mels `[n, T, n_mels]` with transformers' ClapModel: `[n, D]`, of length 1."""
    parts = [
        model.get_audio_features(input_features=part[:, None].to(model.device)).pooler_output
        for part in log_mel.split(_BATCH)
    ]
    return normalize(torch.cat(parts), dim=1)
