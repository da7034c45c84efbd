"""Mixtures rendered once and kept on disk as log-mels, each with its contents."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pipeline.datasets.clap_mini.contents import Contents, Event
from pipeline.datasets.clap_mini.mixtures import Mixture, Synthesised, mix
from pipeline.models.frontend import FrontEnd
from schemas.clap_mini_config import ClapMiniRecipe, MiniTraining

LOG_MELS, LOG_MELS_PARTIAL, INDEX = "mixtures.f16", "mixtures.partial", "mixtures.json"

Step = Callable[[int, int], None]


@dataclass(frozen=True)
class MixtureBank:
    """Log-mels `[N, T, n_mels]` in decibels, float16 on disk, and the contents of each mixture."""

    log_mels: np.ndarray
    contents: tuple[Contents, ...]
    digest: str

    def __len__(self) -> int:
        return len(self.contents)


def make_mixture_bank(folder: Path, recipe: ClapMiniRecipe, step: Step = lambda done, total: None) -> MixtureBank:
    """Render the mixtures of a recipe into a folder, or read those that exist already.

    The same recipe gives the same mixtures; a recipe with more of them begins with the same ones.
    """
    training = recipe.training
    settings = training.model_dump(
        include={"mixtures", "mixture", "two_events", "no_event", "no_background", "silence"}
    )
    words = json.dumps([training.loop.seed, recipe.front_end.model_dump(), settings], sort_keys=True)
    digest = hashlib.sha256(words.encode()).hexdigest()
    index = folder / INDEX
    if not index.exists() or json.loads(index.read_text(encoding="utf-8"))["digest"] != digest:
        _render(folder, recipe, digest, step)
    contents = [_contents(row) for row in json.loads(index.read_text(encoding="utf-8"))["contents"]]
    shape = (len(contents), -1, recipe.front_end.n_mels)
    log_mels = np.memmap(folder / LOG_MELS, dtype="<f2", mode="r").reshape(shape)
    return MixtureBank(log_mels, tuple(contents), digest)


def draw_mixture(source: Synthesised, training: MiniTraining, rng: np.random.Generator) -> Mixture:
    """Draw a training mixture: two events, one, none, no background, or silence, each with its share."""
    draw = rng.random()
    if draw < training.silence:
        return mix(source, 0, False, training.mixture, rng)
    if draw < training.silence + training.no_event:
        return mix(source, 0, True, training.mixture, rng)
    n_events = 2 if rng.random() < training.two_events else 1
    return mix(source, n_events, rng.random() >= training.no_background, training.mixture, rng)


@torch.no_grad()
def _render(folder: Path, recipe: ClapMiniRecipe, digest: str, step: Step) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    index = folder / INDEX
    index.unlink(missing_ok=True)
    front_end, training = FrontEnd(recipe.front_end), recipe.training
    config = recipe.front_end
    source = Synthesised(config.sample_rate, config.window_samples, training.mixture.event_s)
    contents = []
    partial = folder / LOG_MELS_PARTIAL
    with partial.open("wb") as file:
        for number in range(training.mixtures):
            mixture = draw_mixture(source, training, np.random.default_rng([training.loop.seed, number]))
            log_mel = front_end.log_mel(front_end.stft(torch.from_numpy(mixture.waveform)[None]).abs())[0]
            file.write(log_mel.numpy().astype("<f2").tobytes())
            contents.append(asdict(mixture.contents))
            step(number + 1, training.mixtures)
    os.replace(partial, folder / LOG_MELS)
    # Written last: where the index exists, the log-mels are complete.
    index.write_text(json.dumps({"digest": digest, "contents": contents}), encoding="utf-8")


def _contents(row: dict[str, Any]) -> Contents:
    return Contents(tuple(Event(**event) for event in row["events"]), row["background"])
