"""The explainer that a run asks for: one that is there, or one with other prompts, saved with the run's output."""

from __future__ import annotations

from pipeline.flow.checks import RunConflictError
from pipeline.models.checkpoint import LoadedExplainer, has_explainer, load_explainer, save_explainer, weights_digest
from pipeline.models.clap.classifier import ClapClassifier
from pipeline.models.clap.faults import ClapError
from pipeline.models.clap.source import clap_beside
from pipeline.models.clap.zero_shot import PREFIX, with_prompts
from pipeline.runs.output import RunOutput
from pipeline.storage.filesystem import display_url, join
from schemas.class_bank import PLACE
from schemas.explainer_config import ClapConfig
from schemas.run_config import ContentConfig
from schemas.yaml_config import ConfigError

_SHOWN = ("prompts", "templates", "text_encoder")


def load_asked(content: ContentConfig) -> LoadedExplainer:
    """Load the explainer of a run, with the run's prompts for classes if it names any.

    Raises ExplainerError, ClapError, and ConfigError for settings that say nothing without prompts.
    """
    loaded = load_explainer(content.explainer)
    if content.prompts is None:
        if content.classifier is not None or content.templates is not None:
            raise ConfigError("content.classifier and content.templates are for content.prompts, which is not given")
        return loaded
    where = content.classifier or clap_beside(content.explainer)
    if where is None:
        raise ClapError(
            f"the explainer {loaded.config.name!r} comes without a text encoder for prompts: give the CLAP that it was "
            "trained for, --classifier clap:WHERE"
        )
    if content.classifier is not None and not content.classifier.startswith(PREFIX):
        raise ConfigError(f"content.classifier must be clap:WHERE, got {display_url(content.classifier)!r}")
    known = loaded.config.classifier
    own = known.templates if isinstance(known, ClapConfig) else ()
    return with_prompts(loaded, str(where), content.prompts, content.templates or own or (PLACE,))


def as_begun(content: ContentConfig, loaded: LoadedExplainer, output: RunOutput) -> LoadedExplainer:
    """With prompts, the explainer that a run on this output was begun with, if the same is asked for again.

    Text embeddings differ in their last bits from machine to machine, and with them the digest: what was asked for is
    compared instead, and the embeddings are those that were saved.
    Raises RunConflictError, naming the setting, where something else is asked for.
    """
    record = output.read_run_record()
    if content.prompts is None or record is None or record.explainer["digest"] == loaded.digest:
        return loaded
    place = join(output.url, output.explainer_folder(record.explainer["digest"]))
    if not has_explainer(place):
        return loaded
    begun = load_explainer(place)
    if begun.digest != record.explainer["digest"]:
        return loaded
    there, asked = _asked_for(begun), _asked_for(loaded)
    differences = [
        f"  {name}: {there.get(name)} there, {asked.get(name)} asked for"
        for name in sorted(there.keys() | asked.keys())
        if there.get(name) != asked.get(name)
    ]
    if differences:
        lines = "\n".join(differences)
        raise RunConflictError(
            f"the output already holds a run that was asked for something else:\n{lines}\n"
            "Run with the same settings to go on with it, or choose another output."
        )
    return begun


def _asked_for(explainer: LoadedExplainer) -> dict[str, object]:
    """All that decides an explanation, by name, but the bits of text embeddings."""
    config = explainer.config.model_dump(exclude={"classifier", "labels"})
    classifier = explainer.classifier
    if isinstance(classifier, ClapClassifier):
        known = classifier.config
        config |= {f"classifier.{name}": value for name, value in known.model_dump().items() if name not in _SHOWN}
        config |= {"prompts": "; ".join(known.prompts), "templates": "; ".join(known.templates)}
        config |= {"text encoder": known.text_encoder[:12], "audio branch": weights_digest(classifier.htsat)[:12]}
        config["logit scale"] = float(classifier.logit_scale)
    if explainer.decoder is not None:
        config["decoder's weights"] = weights_digest(explainer.decoder)[:12]
    return config


def explain_with(content: ContentConfig, loaded: LoadedExplainer, output: RunOutput) -> ContentConfig:
    """What actors are told, who have no text encoder: with prompts, the explainer as it is saved in the output."""
    if content.prompts is None:
        return content
    place = join(output.url, output.explainer_folder(loaded.digest))
    labels = "\n".join(f"- {label}" for label in loaded.config.labels)
    card = f"# {loaded.config.name}\n\nWith the prompts of a run:\n\n{labels}\n"
    save_explainer(place, loaded.config, loaded.classifier, loaded.decoder, card)
    return content.model_copy(update={"explainer": place, "prompts": None, "classifier": None, "templates": None})
