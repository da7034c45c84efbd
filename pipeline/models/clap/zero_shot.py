"""A CLAP and prompts -> a classifier whose classes are the prompts, ready to be given a decoder."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from pipeline.models.checkpoint import LoadedExplainer, explainer_digest, weights_digest
from pipeline.models.clap.audio import load_clap_audio
from pipeline.models.clap.classifier import ClapClassifier
from pipeline.models.clap.faults import ClapError
from pipeline.models.clap.prompts import make_class_bank, parse_prompts
from pipeline.models.clap.source import resolve_clap
from pipeline.models.clap.text import load_text_encoder
from pipeline.storage.filesystem import display_url
from schemas.class_bank import PLACE, check_templates
from schemas.explainer_config import ExplainerConfig

PREFIX = "clap:"


def load_zero_shot(
    where: str, prompts: str, templates: Sequence[str] = (PLACE,), window_s: float | None = None
) -> LoadedExplainer:
    """Load a CLAP as a classifier without a decoder; `where` is what `resolve_clap` takes, with or without `clap:`.

    `prompts` are `"a dog barking; rain on a roof"` or the path of a .txt file with one a line, `window_s` the seconds
    of a window, by default as many as CLAP was trained on. All that can be wrong with the prompts themselves is found
    before anything is downloaded.
    Raises ClapError for what cannot be used, StorageError for what cannot be fetched.
    """
    classes = _classes(prompts, templates)
    source = resolve_clap(where.removeprefix(PREFIX))
    audio = load_clap_audio(source.path, window_s)
    bank = make_class_bank(load_text_encoder(source), classes, templates)
    known = bank.config
    classifier = audio.with_bank(bank.embeddings, known.prompts, known.templates, known.text_encoder)
    config = ExplainerConfig(name="clap", labels=known.prompts, front_end=audio.front_end, classifier=classifier.config)
    classifier.requires_grad_(False)
    return LoadedExplainer(config, classifier, None, weights_digest(classifier, config.model_dump_json()))


def with_prompts(
    explainer: LoadedExplainer, where: str, prompts: str, templates: Sequence[str] = (PLACE,)
) -> LoadedExplainer:
    """The same explainer with other prompts for classes; `where` is the CLAP that it explains, for its text encoder.

    Raises ClapError when the decoder does not listen to prompts, when it was trained for another CLAP, and as
    `load_zero_shot` does.
    """
    config = explainer.config
    if config.decoder is None or not config.decoder.prompted:
        raise ClapError(
            f"the explainer {config.name!r} has no decoder that listens to prompts, so that it explains its own "
            "classes alone: train one with `lmac train decoder --objective lmac-zs`"
        )
    classes = _classes(prompts, templates)
    source = resolve_clap(where.removeprefix(PREFIX))
    audio = load_clap_audio(source.path, config.front_end.window_s)
    bank = make_class_bank(load_text_encoder(source), classes, templates)
    known = bank.config
    classifier = audio.with_bank(bank.embeddings, known.prompts, known.templates, known.text_encoder)
    own = explainer.classifier
    assert isinstance(own, ClapClassifier)
    if audio.front_end != config.front_end or weights_digest(classifier.htsat) != weights_digest(own.htsat):
        raise ClapError(
            f"the decoder of the explainer {config.name!r} was trained for another CLAP than "
            f"{display_url(where.removeprefix(PREFIX))}: "
            "give the one it was trained for"
        )
    named = config.model_copy(update={"labels": known.prompts, "classifier": classifier.config})
    classifier.requires_grad_(False)
    digest = explainer_digest(named, classifier, explainer.decoder)
    return LoadedExplainer(named, classifier, explainer.decoder, digest)


def _classes(prompts: str, templates: Sequence[str]) -> tuple[str, ...]:
    classes = parse_prompts(prompts)
    if len(classes) < 2:
        raise ClapError(
            f"{classes[0]!r} is the only prompt: a probability is of one among others, so give two or more, "
            "such as what else may be heard, 'silence' or 'noise'"
        )
    try:
        check_templates(templates)
    except ValueError as error:
        raise ClapError(str(error)) from None
    return classes


def embed_prompts(where: str, prompts: Sequence[str]) -> Tensor:
    """Embeddings `[n, D]` of length 1 of prompts as they are, by the text encoder of a CLAP.

    Raises ClapError and StorageError as `load_zero_shot` does.
    """
    return load_text_encoder(resolve_clap(where.removeprefix(PREFIX))).embed(prompts)
