"""From a recipe to a trained clap-mini in a directory."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from pipeline.datasets.clap_mini.mixture_bank import INDEX, LOG_MELS, make_mixture_bank
from pipeline.datasets.clap_mini.model import build_clap, save_clap
from pipeline.datasets.clap_mini.prompts import write_prompts
from pipeline.datasets.clap_mini.task import ClapMiniTask
from pipeline.datasets.clap_mini.text_first import teach_texts
from pipeline.datasets.clap_mini.unseen import unseen_scenes
from pipeline.datasets.clap_mini.vocabulary import train_tokenizer, training_captions
from pipeline.training.loop import Progress, Scores, fit
from schemas.clap_mini_config import ClapMiniRecipe

VALIDATION_SEED = 990_001

Step = Callable[[int, int], None]
CHECKPOINT = "checkpoint.pt"
LEFT_BEHIND = (LOG_MELS, INDEX, CHECKPOINT, "checkpoint.partial", "mixtures.partial")


def train_clap_mini(
    out: Path,
    scratch: Path,
    recipe: ClapMiniRecipe,
    report: Callable[[Progress], None],
    step: Step = lambda done, total: None,
    rendering: Step = lambda done, total: None,
) -> Scores:
    """Train a clap-mini and save it in `out`, with prompts to explain it for; the scores of its validation.

    Goes on from the checkpoint in `scratch`, where mixtures are rendered too. `rendering` hears of those,
    `step` of training steps. Raises TrainingError as `fit` does.
    """
    loop = recipe.training.loop
    bank = make_mixture_bank(scratch, recipe, rendering)
    tokenizer = train_tokenizer(training_captions(loop.seed), recipe.text.vocabulary, recipe.text.max_tokens)
    torch.manual_seed(loop.seed)
    model: Any = build_clap(recipe, tokenizer)
    unseen = unseen_scenes(recipe.front_end, VALIDATION_SEED, recipe.training.validation)
    task = ClapMiniTask(model, tokenizer, bank, unseen, recipe)
    checkpoint = scratch / CHECKPOINT
    if not checkpoint.exists():
        teach_texts(task, recipe.training.text_steps, loop.seed)
    fingerprint = f"{bank.digest}-{recipe.model_dump_json()}"
    state = fit(task, loop, checkpoint, fingerprint, report, step)
    save_clap(out, model, tokenizer, recipe)
    write_prompts(out)
    return state.history[state.best_epoch]
