"""The explainer that a run asks for: one that is there, or one with other prompts, saved with the run's output."""

from __future__ import annotations

from pipeline.models.checkpoint import LoadedExplainer, load_explainer, save_explainer
from pipeline.models.clap.faults import ClapError
from pipeline.models.clap.source import clap_beside
from pipeline.models.clap.zero_shot import PREFIX, with_prompts
from pipeline.storage.filesystem import display_url, join
from pipeline.storage.output import RunOutput
from schemas.class_bank import PLACE
from schemas.explainer_config import ClapConfig
from schemas.run_config import ContentConfig
from schemas.yaml_config import ConfigError


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


def explain_with(content: ContentConfig, loaded: LoadedExplainer, output: RunOutput) -> ContentConfig:
    """What actors are told, who have no text encoder: with prompts, the explainer as it is saved in the output."""
    if content.prompts is None:
        return content
    place = join(output.url, output.explainer_folder(loaded.digest))
    labels = "\n".join(f"- {label}" for label in loaded.config.labels)
    card = f"# {loaded.config.name}\n\nWith the prompts of a run:\n\n{labels}\n"
    save_explainer(place, loaded.config, loaded.classifier, loaded.decoder, card)
    return content.model_copy(update={"explainer": place, "prompts": None, "classifier": None, "templates": None})
