"""Train a mask decoder for a frozen classifier; inconsistent arguments are refused before any audio is read."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial

import torch

from pipeline.lmac.arguments import choose_device
from pipeline.models.build import build_decoder
from pipeline.models.checkpoint import LoadedExplainer, load_card, load_explainer, weights_digest
from pipeline.models.clap import ClapError
from pipeline.models.clap.clap_classifier import ClapClassifier
from pipeline.models.clap.prompts import parse_prompts
from pipeline.models.clap.zero_shot import PREFIX, embed_prompts, load_zero_shot
from pipeline.storage.filesystem import display_url
from pipeline.training.decoder_task import DecoderTask, mean_faithfulness
from pipeline.training.loop import Task, TrainingError
from pipeline.training.ranks import Ranks
from pipeline.training.starting_weights import load_starting_weights
from pipeline.training.workspace import Reporter, TrainingResult, Workspace
from pipeline.training.zero_shot_task import ZeroShotTask
from schemas.class_bank import PLACEHOLDER
from schemas.explainer_config import ClapConfig, ExplainerConfig
from schemas.input_config import InputConfig
from schemas.training_config import DecoderRecipe, ObjectiveConfig, ZeroShotObjective

# At this cosine, in float32, two texts count as the same.
_SAME_COSINE = 0.999999


def train_decoder(
    input_url: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    classifier: str | os.PathLike[str],
    recipe: DecoderRecipe = DecoderRecipe(),
    prompts: str | None = None,
    templates: Sequence[str] = (),
    window_s: float | None = None,
    wordings: str | None = None,
    start: str | os.PathLike[str] | None = None,
    labels: str | os.PathLike[str] | None = None,
    reading: InputConfig = InputConfig(),
    select: Sequence[str] = (),
    validation: str = "0.1",
    test: str | None = None,
    windows: int | None = None,
    device: str = "auto",
    reporter: Reporter = Reporter(),
    command: str | None = None,
) -> TrainingResult:
    """Train a mask decoder for a frozen classifier and save both as an explainer.

    The objective is that of L-MAC (Paissan et al. 2024, arXiv 2403.13086, equation 3) on the classifier's own
    decisions, or with `DecoderTraining(objective="lmac-zs")` that of LMAC-ZS (Paissan et al. 2024, arXiv 2405.17615)
    on prompts. Neither needs labels. After an interruption, the same call resumes from the last complete epoch.

    `input_url`, `out`, `reading`, `select`, `validation`, `test`, `windows`, `device`, `reporter` and `command` mean
    the same as in `train_classifier`; the columns of the table `labels` are used by `select`, `validation` and `test`
    only. `recipe` has the decoder, the mask domain and the training's settings; its name is by default the
    classifier's.

    `classifier` is the name, path or URL of an explainer, whose decoder, if any, is replaced; or `clap:WHERE`, a CLAP
    whose classes are `prompts`: "a dog barking; rain on a roof", or a .txt file with one on each line. For a CLAP,
    `templates` are sentences around each prompt, such as "the sound of {}" (several are averaged; by default "{}"), and
    `window_s` is the length of a window in seconds, by default that of the CLAP's training. `wordings`, for LMAC-ZS,
    are more prompts to train on, in the same form as `prompts`, which do not become classes. `start` is an explainer
    whose decoder's weights the training starts from; by default they are random.

    The returned scores are for L-MAC the means over windows of `p`, `ai`, `ad`, `ag`, `ff`, `fid_in` and `mask_mean`,
    and for LMAC-ZS the terms of the objective on `validation`.

    Raises TrainingError if arguments contradict each other, `start` holds another kind of decoder, `out` holds an
    explainer or a checkpoint of another training, or the loss is not finite; ArgumentError for an unavailable device;
    ExplainerError or ClapError if the classifier, the prompts or `start` cannot be used; TrainingDataError or
    SelectionError if a set of recordings would be empty; DiskSpaceError if the windows do not fit; InputError or
    StorageError if the audio or the table cannot be read, or `out` cannot be written.

    >>> from lmac import train_decoder
    >>> from pipeline.datasets.scenes import SceneConfig, write_scenes
    >>> from lmac.settings import DecoderConfig, DecoderRecipe, DecoderTraining, LoopConfig
    >>> _ = write_scenes("scenes", 10, seed=0, config=SceneConfig(duration_s=1.0))
    >>> training = DecoderTraining(loop=LoopConfig(epochs=1, batch_size=2))
    >>> recipe = DecoderRecipe(decoder=DecoderConfig(channels=(2, 4, 4, 4, 4)), training=training)
    >>> result = train_decoder("scenes", "toy", classifier="scenes", recipe=recipe, validation="none")
    >>> result.how
    'trained on 10 recordings'
    """
    workspace = Workspace.of_call(train_decoder, locals(), recipe.training.loop.seed)
    chosen = choose_device(device)
    classifier = os.fspath(classifier)
    more_prompts = _parse_wordings(wordings, recipe.training.objective)
    loaded = _load_classifier(classifier, prompts, templates, window_s)
    clap = None
    if isinstance(recipe.training.objective, ZeroShotObjective):
        clap = _with_all_prompts(loaded, classifier, more_prompts, recipe.training.objective.prompts)
    config = loaded.config.model_copy(
        update={
            "name": recipe.name or loaded.config.name,
            "decoder": recipe.decoder.fitted(len(loaded.classifier.representation_channels), clap is not None),
            "mask_domain": recipe.mask_domain,
        }
    )
    torch.manual_seed(workspace.seed)
    try:
        decoder = build_decoder(config, loaded.classifier)
    except ValueError as error:
        raise TrainingError(str(error)) from None
    settings = loaded.digest
    if start:
        settings += f"-{load_starting_weights(os.fspath(start), decoder, config, loaded)}"
    sets = workspace.read(config.front_end)
    decoder.to(chosen)
    loaded.classifier.to(chosen)
    task: Task
    if clap is not None:
        settings += weights_digest(clap)
        task = ZeroShotTask(decoder, clap.to(chosen), sets.train, sets.validation, recipe.training, config.mask_domain)
    else:
        task = DecoderTask(decoder, loaded.classifier, sets.train, sets.validation, recipe.training, config.mask_domain)
    scores = workspace.fit(task, recipe.training.loop, sets, f"{settings}-{recipe.model_dump_json()}")
    if sets.test is not None:
        measure = partial(mean_faithfulness, loaded.classifier, decoder, sets.test, config.mask_domain)
        scores["test"] = Ranks.of_process().from_first(measure)
    base_card = _prompts_card(config) if classifier.startswith(PREFIX) else load_card(classifier)
    return workspace.save(config, loaded.classifier, decoder, sets, scores, base_card)


def _parse_wordings(wordings: str | None, objective: ObjectiveConfig | ZeroShotObjective) -> tuple[str, ...]:
    if wordings is None:
        return ()
    if not isinstance(objective, ZeroShotObjective):
        raise TrainingError("wordings are for the objective lmac-zs: no other decoder is given a prompt")
    try:
        return parse_prompts(wordings)
    except ClapError as error:
        raise TrainingError(f"wordings: {error}") from None


def _load_classifier(
    where: str, prompts: str | None, templates: Sequence[str], window_s: float | None
) -> LoadedExplainer:
    if not where.startswith(PREFIX):
        if prompts is not None or templates or window_s is not None:
            raise TrainingError(
                f"prompts, templates and window_s are for the classifier clap:WHERE, not for {display_url(where)}"
            )
        return load_explainer(where)
    if prompts is None:
        raise TrainingError(
            'a CLAP needs classes to choose from: give prompts, "a dog barking; rain", or a .txt file of them'
        )
    return load_zero_shot(where, prompts, templates or (PLACEHOLDER,), window_s)


def _with_all_prompts(loaded: LoadedExplainer, where: str, wordings: Sequence[str], at_once: int) -> ClapClassifier:
    """Return the CLAP with all prompts that a decoder is trained on as classes: its own, and `wordings`.

    Raises TrainingError if there are fewer than the prompts drawn `at_once` for a window.
    """
    clap = loaded.classifier
    if not isinstance(clap, ClapClassifier) or clap.classify is not None:
        raise TrainingError(
            f"the objective lmac-zs needs a CLAP whose classes are prompts: clap:WHERE with prompts, not "
            f"{display_url(where)}"
        )
    if wordings:
        if not where.startswith(PREFIX):
            raise TrainingError(
                f"wordings need the text encoder: give the classifier clap:WHERE with prompts, not {display_url(where)}"
            )
        embedded = embed_prompts(where, wordings)
        nearest = (embedded @ clap.class_embeddings.T).max(dim=1)
        for wording, cosine, place in zip(wordings, nearest.values.tolist(), nearest.indices.tolist(), strict=True):
            if cosine > _SAME_COSINE:
                raise TrainingError(
                    f"wordings: to the text encoder {wording!r} is the same as the prompt "
                    f"{clap.config.prompts[place]!r} in its templates: leave one out"
                )
        clap = clap.with_class_embeddings(torch.cat([clap.class_embeddings, embedded]))
    if at_once > clap.n_classes:
        raise TrainingError(
            f"training.objective.prompts is {at_once} prompts a window, and there are {clap.n_classes} in all: give "
            "fewer, or more prompts or wordings"
        )
    return clap


def _prompts_card(config: ExplainerConfig) -> str:
    known = config.classifier
    assert isinstance(known, ClapConfig)
    how = f"A CLAP whose classes are {len(known.prompts)} prompts, in the templates {', '.join(known.templates)}:"
    rows = [f"- {prompt}" for prompt in known.prompts]
    return "\n".join([f"# {config.name}", "", "## Classifier", "", how, "", *rows, ""])
