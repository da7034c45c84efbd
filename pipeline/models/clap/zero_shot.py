"""Turn a CLAP and prompts into a classifier with the prompts as classes, to train a decoder for."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from pipeline.models.checkpoint import LoadedExplainer, weights_digest
from pipeline.models.clap import ClapError
from pipeline.models.clap.audio import load_clap_audio
from pipeline.models.clap.clap_classifier import ClapClassifier
from pipeline.models.clap.prompts import make_class_bank, parse_prompts
from pipeline.models.clap.source import resolve_clap
from pipeline.models.clap.text import load_text_encoder
from schemas.class_bank import PLACEHOLDER, check_templates
from schemas.explainer_config import ExplainerConfig, FrontEndConfig

PREFIX = "clap:"


def load_zero_shot(
    where: str, prompts: str, templates: Sequence[str] = (PLACEHOLDER,), window_s: float | None = None
) -> LoadedExplainer:
    """Load a CLAP as a classifier without a decoder; `where` is what `resolve_clap` takes, with or without `clap:`.

    `prompts` is a text like `"a dog barking; rain on a roof"` or the path of a .txt file with one per line; `window_s`
    is the length of a window in seconds, by default that of CLAP's training. The prompts are checked before anything
    is downloaded.
    Raises ClapError for what cannot be used, StorageError for what cannot be fetched.
    """
    front_end, classifier = load_prompt_classifier(where, parse_classes(prompts, templates), templates, window_s)
    labels = classifier.config.prompts
    config = ExplainerConfig(name="clap", labels=labels, front_end=front_end, classifier=classifier.config)
    return LoadedExplainer(config, classifier, None, weights_digest(classifier, config.model_dump_json()))


def load_prompt_classifier(
    where: str, classes: Sequence[str], templates: Sequence[str], window_s: float | None
) -> tuple[FrontEndConfig, ClapClassifier]:
    """Load a CLAP's front end and its frozen classifier with prompts as classes; raises as `load_zero_shot` does."""
    source = resolve_clap(where.removeprefix(PREFIX))
    audio = load_clap_audio(source.path, window_s)
    bank = make_class_bank(load_text_encoder(source), classes, templates)
    known = bank.config
    classifier = audio.with_bank(bank.embeddings, known.prompts, known.templates, known.text_encoder)
    classifier.requires_grad_(False)
    return audio.front_end, classifier


def parse_classes(prompts: str, templates: Sequence[str]) -> tuple[str, ...]:
    """Parse prompts like `parse_prompts`; raises ClapError for fewer than two, and for invalid templates."""
    classes = parse_prompts(prompts)
    if len(classes) < 2:
        raise ClapError(
            f"{classes[0]!r} is the only prompt, and its probability among one class is always 1: give two or more, "
            "such as what else may be heard, 'silence' or 'noise'"
        )
    try:
        check_templates(templates)
    except ValueError as error:
        raise ClapError(str(error)) from None
    return classes


def embed_prompts(where: str, prompts: Sequence[str]) -> Tensor:
    """Embed prompts as they are with the text encoder of a CLAP: `[n, D]`, of length 1.

    Raises ClapError and StorageError as `load_zero_shot` does.
    """
    return load_text_encoder(resolve_clap(where.removeprefix(PREFIX))).embed(prompts)
