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
from pipeline.inputs.labels import load_labels
from pipeline.inputs.window_set import load_windows
from pipeline.models.build import build_decoder
from pipeline.models.checkpoint import LoadedExplainer, load_card, load_explainer, save_explainer, weights_digest
from pipeline.models.clap import ClapError
from pipeline.models.clap.classifier import ClapClassifier
from pipeline.models.clap.prompts import parse_prompts
from pipeline.models.clap.zero_shot import PREFIX, embed_prompts, load_zero_shot
from pipeline.models.decoder import Decoder
from pipeline.storage.filesystem import display_url
from pipeline.training.decoder_task import DecoderTask, mean_faithfulness
from pipeline.training.holdout import selections_of, split
from pipeline.training.loop import Task
from pipeline.training.model_card import model_card
from pipeline.training.zero_shot_task import ZeroShotTask
from schemas.class_bank import PLACEHOLDER
from schemas.explainer_config import ClapConfig, ExplainerConfig
from schemas.training_config import DecoderRecipe, ZeroShotObjective
from schemas.yaml_config import ConfigError


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
        typer.Option(help="For lmac-zs, more prompts to train for, without --template; they become no classes."),
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
        if wordings is not None and not isinstance(aim, ZeroShotObjective):
            raise fail("--wordings are for --objective lmac-zs: no other decoder listens to a prompt")
        words = _parsed(wordings)
        loaded = _classifier(classifier, prompts, template, window_s)
        clap = _prompted(loaded, classifier, words) if isinstance(aim, ZeroShotObjective) else None
        if clap is not None and isinstance(aim, ZeroShotObjective) and aim.prompts > clap.n_classes:
            raise ConfigError(
                f"training.objective.prompts: asks for {aim.prompts} prompts a window, and there are {clap.n_classes} "
                "in all: give fewer, or more --prompts or --wordings"
            )
        explainer = loaded.config.model_copy(
            update={
                "name": recipe.name or loaded.config.name,
                "decoder": recipe.decoder.fitted(len(loaded.classifier.representation_channels), clap is not None),
                "mask_domain": recipe.mask_domain,
            }
        )
        # Before any audio is read: all that does not fit the classifier is found here.
        torch.manual_seed(recipe.training.loop.seed)
        model = _decoder(explainer, loaded)
        begun = _go_on_from(start, model, explainer, loaded) if start else ""
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
    return load_zero_shot(where, prompts, templates or (PLACEHOLDER,), window_s)


# Cosines of one text to itself, in float32.
_ONE = 0.999999


def _parsed(wordings: str | None) -> tuple[str, ...]:
    try:
        return parse_prompts(wordings) if wordings is not None else ()
    except ClapError as error:
        raise fail(f"--wordings: {error}") from None


def _prompted(loaded: LoadedExplainer, where: str, wordings: tuple[str, ...]) -> ClapClassifier:
    """The CLAP whose classes are all prompts that a decoder is trained for: its own, and `wordings`."""
    clap = loaded.classifier
    if not isinstance(clap, ClapClassifier) or clap.classify is not None:
        raise fail(
            f"--objective lmac-zs needs a CLAP whose classes are prompts: clap:WHERE with --prompts, not "
            f"{display_url(where)}"
        )
    if not wordings:
        return clap
    if not where.startswith(PREFIX):
        raise fail(
            f"--wordings need the text encoder: give --classifier clap:WHERE with --prompts, not {display_url(where)}"
        )
    embedded = embed_prompts(where, wordings)
    nearest = (embedded @ clap.class_embeddings.T).max(dim=1)
    for wording, cosine, place in zip(wordings, nearest.values.tolist(), nearest.indices.tolist(), strict=True):
        if cosine > _ONE:
            raise fail(
                f"--wordings: {wording!r} is to the text encoder the same as the prompt "
                f"{clap.config.prompts[place]!r} in its templates: leave one out"
            )
    return clap.with_class_embeddings(torch.cat([clap.class_embeddings, embedded]))


def _clap_card(explainer: ExplainerConfig) -> str:
    known = explainer.classifier
    assert isinstance(known, ClapConfig)
    rows = [f"- {prompt}" for prompt in known.prompts]
    how = f"A CLAP whose classes are {len(known.prompts)} prompts, in the templates {', '.join(known.templates)}:"
    return "\n".join([f"# {explainer.name}", "", "## Classifier", "", how, "", *rows, ""])


def _decoder(explainer: ExplainerConfig, loaded: LoadedExplainer) -> Decoder:
    try:
        return build_decoder(explainer, loaded.classifier)
    except ValueError as error:
        raise ConfigError(str(error)) from None


def _go_on_from(start: str, model: Decoder, explainer: ExplainerConfig, loaded: LoadedExplainer) -> str:
    """Give the decoder the weights of another one of its shape; the digest of where they came from."""
    found, where = load_explainer(start), f"--start {display_url(start)}"
    if found.decoder is None:
        raise fail(f"{where} has no decoder to go on from: give an explainer that has one, or leave --start out")
    prompted = explainer.decoder is not None and explainer.decoder.prompted
    theirs, ours = _shape(found.config, prompted), _shape(explainer, prompted)
    for name in sorted(theirs.keys() | ours.keys()):
        if theirs.get(name) != ours.get(name):
            raise fail(
                f"{where}: its {name} is {theirs.get(name)}, that of the decoder to train is {ours.get(name)}: they "
                "must be alike, in the decoder, the classifier's shape and the front end"
            )
    if prompted and _audio_digest(found) != _audio_digest(loaded):
        raise fail(
            f"{where}: its decoder was trained for another CLAP, of which the audio branch has other weights: give the "
            "CLAP it was trained for, or leave --start out"
        )
    model.load_state_dict(found.decoder.state_dict())
    return f"-{found.digest}"


def _shape(config: ExplainerConfig, prompted: bool) -> dict[str, object]:
    """What decoders of one shape have alike, by name; to a prompted one prompts are nothing."""
    unlike = ("prompts", "templates", "text_encoder") if prompted else ()
    return {
        f"{part}.{name}": value
        for part, settings in config.model_dump(include={"decoder", "classifier", "front_end"}).items()
        for name, value in (settings or {}).items()
        if name not in unlike or part != "classifier"
    }


def _audio_digest(explainer: LoadedExplainer) -> str:
    assert isinstance(explainer.classifier, ClapClassifier)
    return weights_digest(explainer.classifier.htsat)
