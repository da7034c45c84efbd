"""`lmac train decoder`: from a classifier and audio to an explainer directory."""

from __future__ import annotations

from typing import Annotated

import torch
import typer

from jobs.messages import fail, for_people
from jobs.training_options import (
    Batch,
    ConfigFile,
    Data,
    Epochs,
    Labels,
    Name,
    Out,
    Patience,
    Prompts,
    Rate,
    Seed,
    Select,
    Template,
    Test,
    Validation,
    WindowSeconds,
)
from jobs.training_run import RESUME, finish, fit_reporting, prepared_folder, recipe_of, say_skipped, typed_command
from pipeline.lmac.holdout import selections_of, split
from pipeline.lmac.model_card import model_card
from pipeline.lmac.train_decoder import DecoderTask, mean_faithfulness
from pipeline.lmac.train_zero_shot import ZeroShotTask
from pipeline.lmac.training import Task
from pipeline.lmac.windowset import load_windows
from pipeline.models.build import build_decoder
from pipeline.models.checkpoint import LoadedExplainer, load_card, load_explainer, save_explainer, weights_digest
from pipeline.models.clap.classifier import ClapClassifier
from pipeline.models.clap.prompts import parse_prompts
from pipeline.models.clap.zero_shot import PREFIX, embed_prompts, load_zero_shot
from pipeline.models.decoder import Decoder
from pipeline.storage.filesystem import display_url
from pipeline.storage.labels import load_labels
from schemas.class_bank import PLACE
from schemas.explainer_config import ClapConfig, ExplainerConfig
from schemas.training_config import DecoderRecipe, ZeroShotObjective


def decoder(
    data: Data,
    out: Out,
    classifier: Annotated[
        str, typer.Option(help="The classifier: an explainer's name, path or URL, or clap:WHERE with --prompts.")
    ],
    prompts: Prompts = None,
    template: Template = None,
    window_s: WindowSeconds = None,
    objective: Annotated[
        str | None,
        typer.Option(help="lmac-zs: a decoder that listens to the prompt; lmac-reference: the paper's."),
    ] = None,
    wordings: Annotated[
        str | None,
        typer.Option(help="For lmac-zs, more prompts to train for, as --prompts; they become no classes."),
    ] = None,
    start: Annotated[
        str | None, typer.Option(help="An explainer whose decoder to go on from, as for fine-tuning; else anew.")
    ] = None,
    labels: Labels = None,
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
    """Train a mask decoder for a frozen classifier; of --labels only the columns to select by are used."""
    with for_people(RESUME):
        more = {"training.objective": objective}
        recipe = recipe_of(DecoderRecipe, config, name, epochs, batch_size, learning_rate, patience, seed, more)
        aim = recipe.training.objective
        scratch = prepared_folder(out)
        loaded = _classifier(classifier, prompts, template, window_s)
        clap = _prompted(loaded, classifier, wordings) if isinstance(aim, ZeroShotObjective) else None
        if wordings is not None and clap is None:
            raise fail("--wordings are for --objective lmac-zs: no other decoder listens to a prompt")
        explainer = loaded.config.model_copy(
            update={
                "name": recipe.name or loaded.config.name,
                "decoder": recipe.decoder.fitted(len(loaded.classifier.representation_channels), clap is not None),
                "mask_domain": recipe.mask_domain,
            }
        )
        table = load_labels(labels) if labels else None
        windows = load_windows(
            data,
            explainer.front_end,
            scratch,
            labels=table,
            selections=selections_of(select or [], test),
            on_skip=say_skipped,
        )
        sets = split(windows, select or [], validation, test, recipe.training.loop.seed)
        torch.manual_seed(recipe.training.loop.seed)
        model = build_decoder(explainer, loaded.classifier)
        begun = _go_on_from(start, model, explainer) if start else ""
        task: Task
        if clap is not None:
            task = ZeroShotTask(model, clap, sets.train, sets.validation, recipe.training, explainer.mask_domain)
        else:
            task = DecoderTask(
                model, loaded.classifier, sets.train, sets.validation, recipe.training, explainer.mask_domain
            )
        asked = "" if clap is None else weights_digest(clap)
        known = f"{loaded.digest}{begun}{asked}-{recipe.model_dump_json()}"
        scores = fit_reporting(task, recipe.training.loop, sets, scratch, known)
        if sets.test is not None:
            scores["test"] = mean_faithfulness(loaded.classifier, model, sets.test, explainer.mask_domain)
        base = _clap_card(explainer) if classifier.startswith(PREFIX) else load_card(classifier)
        card = model_card(explainer.name, "decoder", sets.how, typed_command(), scores, base)
        save_explainer(out, explainer, loaded.classifier, model, card)
        finish(out, scratch, scores)


def _classifier(
    where: str, prompts: str | None, templates: list[str] | None, window_s: float | None
) -> LoadedExplainer:
    if not where.startswith(PREFIX):
        if prompts is not None or templates or window_s is not None:
            raise fail(
                f"--prompts, --template and --window-s are for --classifier clap:WHERE, not for {display_url(where)}"
            )
        return load_explainer(where)
    if prompts is None:
        raise fail('a CLAP needs classes to choose from: give --prompts "a dog barking; rain", or a .txt file of them')
    return load_zero_shot(where, prompts, templates or (PLACE,), window_s)


def _prompted(loaded: LoadedExplainer, where: str, wordings: str | None) -> ClapClassifier:
    """The CLAP whose classes are all prompts that a decoder is trained for: its own, and `wordings`."""
    clap = loaded.classifier
    if not isinstance(clap, ClapClassifier) or clap.classify is not None:
        raise fail(
            f"--objective lmac-zs needs a CLAP whose classes are prompts: clap:WHERE with --prompts, not "
            f"{display_url(where)}"
        )
    if wordings is None:
        return clap
    if not where.startswith(PREFIX):
        raise fail(
            f"--wordings need the text encoder: give --classifier clap:WHERE with --prompts, not {display_url(where)}"
        )
    return clap.of_prompts(torch.cat([clap.class_embeddings, embed_prompts(where, parse_prompts(wordings))]))


def _clap_card(explainer: ExplainerConfig) -> str:
    known = explainer.classifier
    assert isinstance(known, ClapConfig)
    rows = [f"- {prompt}" for prompt in known.prompts]
    how = f"A CLAP whose classes are {len(known.prompts)} prompts, in the templates {', '.join(known.templates)}:"
    return "\n".join([f"# {explainer.name}", "", "## Classifier", "", how, "", *rows, ""])


def _go_on_from(start: str, model: Decoder, explainer: ExplainerConfig) -> str:
    """Give the decoder the weights of another one of its shape; the digest of where they came from."""
    found = load_explainer(start)
    shape = {"decoder", "classifier", "front_end"}
    if found.decoder is None or found.config.model_dump(include=shape) != explainer.model_dump(include=shape):
        raise fail(
            f"--start {display_url(start)}: its decoder is {found.config.decoder or 'not there'}, the one to train is "
            f"{explainer.decoder}: they, their classifiers' shapes and their front ends must be alike"
        )
    model.load_state_dict(found.decoder.state_dict())
    return f"-{found.digest}"
