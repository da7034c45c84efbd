"""An explainer of a CLAP with other prompts as classes, if its decoder is conditioned on prompts."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.models.checkpoint import LoadedExplainer, explainer_digest, load_explainer, weights_digest
from pipeline.models.clap import ClapError
from pipeline.models.clap.clap_classifier import ClapClassifier
from pipeline.models.clap.source import bundled_clap
from pipeline.models.clap.zero_shot import PREFIX, load_prompt_classifier, parse_classes
from pipeline.storage.filesystem import display_url
from schemas.class_bank import PLACEHOLDER
from schemas.explainer_config import ClapConfig


def load_prompted(
    explainer: str, prompts: str, where: str | None = None, templates: Sequence[str] | None = None
) -> LoadedExplainer:
    """Load an explainer by its name or URL, with other prompts as classes.

    `where`, clap:WHERE, is the CLAP that it explains, by default the one shipped with it; `templates` are by default
    its own. Raises ExplainerError as `load_explainer` does, and ClapError for another `where` and as
    `with_prompts` does.
    """
    if where is not None and not where.startswith(PREFIX):
        raise ClapError(f"the classifier that prompts are for must be clap:WHERE, got {display_url(where)!r}")
    loaded = load_explainer(explainer)
    clap = where or bundled_clap(explainer)
    if clap is None:
        raise ClapError(
            f"the explainer {loaded.config.name!r} comes without a text encoder for prompts: give the CLAP that it was "
            "trained for, --classifier clap:WHERE"
        )
    own = loaded.config.classifier.templates if isinstance(loaded.config.classifier, ClapConfig) else ()
    return with_prompts(loaded, str(clap), prompts, templates or own or (PLACEHOLDER,))


def with_prompts(
    explainer: LoadedExplainer, where: str, prompts: str, templates: Sequence[str] = (PLACEHOLDER,)
) -> LoadedExplainer:
    """Return the same explainer with other prompts as classes, embedded by the text encoder of its CLAP, `where`.

    Raises ClapError if the decoder is not for prompts or was trained for another CLAP, and as `load_zero_shot` does.
    """
    config = explainer.config
    if config.decoder is None or not config.decoder.prompted:
        raise ClapError(
            f"the decoder of the explainer {config.name!r} is not for prompts: it explains the explainer's own classes "
            "alone. Train one for prompts with `lmac train decoder --objective lmac-zs`"
        )
    front_end, classifier = load_prompt_classifier(
        where, parse_classes(prompts, templates), templates, config.front_end.window_s
    )
    own = explainer.classifier
    assert isinstance(own, ClapClassifier)
    if front_end != config.front_end or weights_digest(classifier.htsat) != weights_digest(own.htsat):
        raise ClapError(
            f"the decoder of the explainer {config.name!r} was trained for another CLAP than "
            f"{display_url(where.removeprefix(PREFIX))}: give the one it was trained for"
        )
    named = config.model_copy(update={"labels": classifier.config.prompts, "classifier": classifier.config})
    digest = explainer_digest(named, classifier, explainer.decoder)
    return LoadedExplainer(named, classifier, explainer.decoder, digest)


def setting_differences(one: LoadedExplainer, other: LoadedExplainer) -> list[tuple[str, object, object]]:
    """List the settings in which two explainers differ, by name, without comparing the bits of text embeddings."""
    ours, theirs = _settings(one), _settings(other)
    return [
        (name, ours.get(name), theirs.get(name))
        for name in sorted(ours.keys() | theirs.keys())
        if ours.get(name) != theirs.get(name)
    ]


def _settings(explainer: LoadedExplainer) -> dict[str, object]:
    settings = explainer.config.model_dump(exclude={"classifier", "labels"})
    classifier = explainer.classifier
    if isinstance(classifier, ClapClassifier):
        sizes = classifier.config.model_dump(exclude={"prompts", "templates", "text_encoder"})
        settings |= {f"classifier.{name}": value for name, value in sizes.items()}
        settings["prompts"] = "; ".join(classifier.config.prompts)
        settings["templates"] = "; ".join(classifier.config.templates)
        settings["text encoder"] = classifier.config.text_encoder[:12]
        settings["audio branch"] = weights_digest(classifier.htsat)[:12]
        settings["logit scale"] = float(classifier.logit_scale)
    if explainer.decoder is not None:
        settings["decoder's weights"] = weights_digest(explainer.decoder)[:12]
    return settings
