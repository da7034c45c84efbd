"""Train clap-mini from a recipe, and save it in a directory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from pipeline.datasets.clap_mini.mixture_bank import INDEX, LOG_MELS, LOG_MELS_PARTIAL, make_mixture_bank
from pipeline.datasets.clap_mini.model import build_clap, save_clap
from pipeline.datasets.clap_mini.prompts import write_prompts
from pipeline.datasets.clap_mini.task import ClapMiniTask
from pipeline.datasets.clap_mini.text_first import teach_texts
from pipeline.datasets.clap_mini.unseen import unseen_scenes
from pipeline.datasets.clap_mini.vocabulary import train_tokenizer, training_captions
from pipeline.lmac.arguments import choose_device
from pipeline.storage.errors import storage_errors
from pipeline.training.loop import Scores, TrainingError, fit
from pipeline.training.saved_state import CHECKPOINT, CHECKPOINT_PARTIAL
from pipeline.training.workspace import Reporter, clear_folder
from schemas.clap_mini_config import ClapMiniRecipe

VALIDATION_SEED = 990_001


def train_clap_mini(out: Path, recipe: ClapMiniRecipe, reporter: Reporter = Reporter(), device: str = "auto") -> Scores:
    """Train a clap-mini and save it in `out`, with prompts to explain it for; return its validation scores.

    After an interruption, the same call resumes from the last complete epoch. `device` is `cpu`, `cuda`, or `auto`: a
    CUDA GPU if there is one, else the CPU. Raises ArgumentError for an unavailable device, TrainingError if `out`
    already holds a model and as `fit` does, StorageError if `out` cannot be written.
    """
    chosen = choose_device(device)
    with storage_errors(f"writing to {out}"):
        if (out / "config.json").exists():
            raise TrainingError(f"{out} already holds a model: choose another place, or delete it first")
        scratch, loop = out / "training", recipe.training.loop
        bank = make_mixture_bank(scratch, recipe, reporter.rendered)
        tokenizer = train_tokenizer(training_captions(loop.seed), recipe.text.vocabulary, recipe.text.max_tokens)
        torch.manual_seed(loop.seed)
        model: Any = build_clap(recipe, tokenizer)
        model.to(chosen)
        unseen = unseen_scenes(recipe.front_end, VALIDATION_SEED, recipe.training.validation)
        task = ClapMiniTask(model, tokenizer, bank, unseen, recipe)
        checkpoint = scratch / CHECKPOINT
        if not checkpoint.exists():
            teach_texts(task, recipe.training.text_steps, loop.seed)
        how = f"{recipe.training.mixtures} mixtures, validated on {recipe.training.validation} unseen scenes"
        reporter.started(how, len(bank), loop.epochs)
        fingerprint = f"{bank.digest}-{recipe.model_dump_json()}"
        state = fit(task, loop, checkpoint, fingerprint, reporter.epoch, reporter.step)
        save_clap(out, model, tokenizer, recipe)
        write_prompts(out)
        clear_folder(scratch, (LOG_MELS, LOG_MELS_PARTIAL, INDEX, CHECKPOINT, CHECKPOINT_PARTIAL))
        return state.history[state.best_epoch]
