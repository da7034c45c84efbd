"""`lmac train`: each kind of training a command; of a classifier here."""

from __future__ import annotations

import torch
import typer

from jobs.messages import for_people
from jobs.train_clap import clap_mini
from jobs.train_decoder import decoder
from jobs.train_head import head
from jobs.training_options import (
    Batch,
    ConfigFile,
    Data,
    Epochs,
    LabelColumn,
    Labels,
    Name,
    Out,
    Patience,
    Rate,
    Seed,
    Select,
    Test,
    Validation,
)
from jobs.training_run import RESUME, finish, fit_reporting, prepared_folder, recipe_of, say_skipped, typed_command
from pipeline.inputs.labels import load_labels
from pipeline.inputs.window_set import load_windows
from pipeline.models.build import build_classifier
from pipeline.models.checkpoint import save_explainer
from pipeline.training.classifier_task import ClassifierTask, recording_accuracy
from pipeline.training.holdout import selections_of, split
from pipeline.training.model_card import model_card
from schemas.explainer_config import ExplainerConfig
from schemas.training_config import ClassifierRecipe

train_app = typer.Typer(no_args_is_help=True, help="Train a classifier, or a mask decoder for one.")
train_app.command("decoder")(decoder)
train_app.command("head")(head)
train_app.command("clap-mini")(clap_mini)


@train_app.command("classifier")
def classifier(
    data: Data,
    out: Out,
    labels: Labels = None,
    label_column: LabelColumn = None,
    select: Select = None,
    validation: Validation = "0.1",
    test: Test = None,
    config: ConfigFile = None,
    name: Name = None,
    epochs: Epochs = None,
    batch_size: Batch = None,
    learning_rate: Rate = None,
    patience: Patience = None,
    seed: Seed = None,
) -> None:
    """Train a classifier from labelled audio: a CSV, JSON sidecars, or folders named by class."""
    with for_people(RESUME):
        recipe = recipe_of(ClassifierRecipe, config, name, epochs, batch_size, learning_rate, patience, seed)
        scratch = prepared_folder(out)
        table = load_labels(labels, label_column) if labels else None
        windows = load_windows(
            data,
            recipe.front_end,
            scratch,
            labels=table,
            label_column=label_column,
            need_labels=True,
            selections=selections_of(select or [], test),
            on_skip=say_skipped,
        )
        sets = split(windows, select or [], validation, test, recipe.training.loop.seed)
        explainer = ExplainerConfig(
            name=recipe.name,
            labels=windows.classes,
            front_end=recipe.front_end,
            classifier=recipe.classifier,
        )
        torch.manual_seed(recipe.training.loop.seed)
        model = build_classifier(explainer)
        task = ClassifierTask(model, sets.train, sets.validation, recipe.training)
        scores = fit_reporting(task, recipe.training.loop, sets, scratch, recipe.model_dump_json())
        if sets.test is not None:
            scores["test"] = recording_accuracy(model, sets.test)
        card = model_card(recipe.name, "classifier", sets.how, typed_command(), scores)
        save_explainer(out, explainer, model, None, card)
        finish(out, scratch, scores)
