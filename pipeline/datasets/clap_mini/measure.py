"""Zero-shot scores of a CLAP on sounds and wordings that were never trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from pipeline.datasets.clap_mini.captions import Captioner
from pipeline.datasets.clap_mini.contents import Contents, holding
from pipeline.datasets.clap_mini.mixtures import render_mixture
from pipeline.datasets.clap_mini.wordings import EVENT_WORDS, TEMPLATES
from pipeline.datasets.scenes import CLASSES, SceneConfig, render_scene
from pipeline.models.clap.audio import load_clap_audio
from pipeline.models.clap.clap_classifier import ClapClassifier
from pipeline.models.clap.source import resolve_clap
from pipeline.models.clap.text import TextEncoder, load_text_encoder

TEST_SEED = 990_002

_BATCH = 16


@dataclass(frozen=True)
class SavedClap:
    """Both encoders of a saved CLAP, as `lmac` loads them."""

    text: TextEncoder
    audio: ClapClassifier

    @torch.no_grad()
    def embed_audio(self, waveforms: Tensor) -> Tensor:
        """Embed waveforms `[n, samples]`: `[n, D]`, of length 1."""
        front_end = self.audio.front_end
        return torch.cat([self.audio(front_end.stft(part).abs()).embedding for part in waveforms.split(_BATCH)])


@dataclass(frozen=True)
class ZeroShotScores:
    """Zero-shot scores; accuracies are for ten classes, on scenes of one event.

    `averaged` is the accuracy of prompts averaged over all held-out wordings. `single_mean` and `single_worst` are the
    mean and the lowest accuracy of one prompt per class, over every held-out wording and template, and `trained` is the
    accuracy of trained wordings, averaged. On mixtures of two events, `present_auroc` is the mean over mixtures of the
    share of pairs of a present and an absent event whose similarities are in order; `recall_1` and `recall_5` are the
    shares of held-out captions that hold for one of the 1 or 5 nearest mixtures, and `recall_1_by_chance` is the level
    of chance. `silent_similarity` is the highest cosine of a class to silence, `present_similarity` the mean cosine of
    a scene to its class.
    """

    scenes: int
    mixtures: int
    averaged: float
    single_mean: float
    single_worst: float
    trained: float
    present_auroc: float
    recall_1: float
    recall_5: float
    recall_1_by_chance: float
    present_similarity: float
    silent_similarity: float


def load_saved(where: str | Path) -> SavedClap:
    """Load both encoders of a CLAP; raises ClapError when it is not a CLAP or lacks a part."""
    source = resolve_clap(str(where))
    text = load_text_encoder(source)
    names = [EVENT_WORDS[kind].trained[0] for kind in CLASSES]
    return SavedClap(text, load_clap_audio(source.path).with_bank(text.embed(names)))


def evaluate_zero_shot(
    clap: SavedClap, scenes: int = 300, mixtures: int = 200, seed: int = TEST_SEED
) -> ZeroShotScores:
    """Score a CLAP on the first scenes and mixtures of the series `seed`."""
    config = clap.audio.front_end.config
    rendered = [render_scene(seed, index, SceneConfig(config.sample_rate, config.window_s)) for index in range(scenes)]
    label = torch.tensor([CLASSES.index(scene.label) for scene in rendered])
    embedded = clap.embed_audio(torch.from_numpy(np.stack([scene.mixture for scene in rendered])))

    names = [EVENT_WORDS[kind].held_out for kind in CLASSES]
    templates = ("{}", *TEMPLATES.held_out)
    every = class_embeddings(clap.text, names, templates)
    averaged = normalize(every.mean(dim=1), dim=1)
    single = [_accuracy(embedded, every[:, place], label) for place in range(every.shape[1])]
    trained = class_embeddings(clap.text, [EVENT_WORDS[kind].trained for kind in CLASSES], ["{}"])

    two = [
        render_mixture(seed, index, sample_rate=config.sample_rate, duration_s=config.window_s)
        for index in range(mixtures)
    ]
    contents = [mixture.contents for mixture in two]
    two_embedded = clap.embed_audio(torch.from_numpy(np.stack([mixture.waveform for mixture in two])))
    found, by_chance = recalls(clap.text, two_embedded, contents, seed)
    silence = clap.embed_audio(torch.zeros(1, config.window_samples))
    return ZeroShotScores(
        scenes=scenes,
        mixtures=mixtures,
        averaged=_accuracy(embedded, averaged, label),
        single_mean=float(np.mean(single)),
        single_worst=min(single),
        trained=_accuracy(embedded, normalize(trained.mean(dim=1), dim=1), label),
        present_auroc=present_auroc(two_embedded @ averaged.T, contents),
        recall_1=found[0],
        recall_5=found[1],
        recall_1_by_chance=by_chance,
        present_similarity=float((embedded @ averaged.T)[torch.arange(scenes), label].mean()),
        silent_similarity=float((silence @ averaged.T).max()),
    )


def class_embeddings(text: TextEncoder, names: Sequence[Sequence[str]], templates: Sequence[str]) -> Tensor:
    """Embed every name of every class in every template: `[n_classes, n_names * n_templates, D]`.

    Raises ValueError if classes have different numbers of names.
    """
    if len({len(of_class) for of_class in names}) != 1:
        raise ValueError(f"every class must have as many names, got {[len(of_class) for of_class in names]}")
    texts = [template.format(name) for of_class in names for name in of_class for template in templates]
    return text.embed(texts).unflatten(0, (len(names), -1))


def present_auroc(similarity: Tensor, contents: Sequence[Contents]) -> float:
    """Return the share of pairs of a present and an absent event with similarities in order, mean over mixtures."""
    shares = []
    for row, content in zip(similarity, contents, strict=True):
        kinds = {event.kind for event in content.events}
        present = torch.tensor([kind in kinds for kind in CLASSES])
        difference = row[present][:, None] - row[~present][None]
        shares.append(float(((difference > 0).float() + 0.5 * (difference == 0).float()).mean()))
    return float(np.mean(shares))


def recalls(
    text: TextEncoder, embedded: Tensor, contents: Sequence[Contents], seed: int
) -> tuple[tuple[float, float], float]:
    """Return the shares of held-out captions, one per mixture, that hold for the nearest mixture and one of five.

    Also returns the share that holds for a mixture by chance. `embedded` `[N, D]` are the mixtures.
    """
    rng, captioner = np.random.default_rng([seed, 0x4EC]), Captioner(held_out=True)
    captions = [captioner.caption(content, rng) for content in contents]
    held = holding([caption.says for caption in captions], contents)
    nearest = (
        (text.embed([caption.text for caption in captions]) @ embedded.T).topk(min(5, len(contents)), dim=1).indices
    )
    hits = held.gather(1, nearest)
    return (float(hits[:, 0].mean()), float(hits.amax(dim=1).mean())), float(held.mean())


def _accuracy(embedded: Tensor, classes: Tensor, label: Tensor) -> float:
    return float(((embedded @ classes.T).argmax(dim=1) == label).float().mean())
