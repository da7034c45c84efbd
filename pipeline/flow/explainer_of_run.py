"""The explainer of a run: loaded or, if it has prompts, taken from the output that the run resumes, and saved there."""

from __future__ import annotations

from pipeline.flow.checks import RunConflictError
from pipeline.models.checkpoint import LoadedExplainer, has_explainer, load_explainer, save_explainer
from pipeline.models.prompted import load_prompted, setting_differences
from pipeline.runs.output import RunOutput
from pipeline.storage.filesystem import join
from schemas.run_config import ContentConfig
from schemas.yaml_config import ConfigError


def load_asked(content: ContentConfig) -> LoadedExplainer:
    """Load the explainer of a run, with the run's prompts for classes if it names any.

    Raises ExplainerError, ClapError, and ConfigError for settings that have no meaning without prompts.
    """
    if content.prompts is None:
        if content.classifier is not None or content.templates is not None:
            raise ConfigError("classifier and templates need prompts, which are not given")
        return load_explainer(content.explainer)
    return load_prompted(content.explainer, content.prompts, content.classifier, content.templates)


def as_begun(content: ContentConfig, loaded: LoadedExplainer, output: RunOutput) -> LoadedExplainer:
    """With prompts, return the explainer that the output was begun with, if its settings equal those of `loaded`.

    Text embeddings differ in their last bits from machine to machine, and so does the digest: the settings are compared
    instead, and the saved embeddings are used.
    Raises RunConflictError, naming each setting that differs.
    """
    record = output.read_run_record()
    if content.prompts is None or record is None or record.explainer["digest"] == loaded.digest:
        return loaded
    saved = join(output.url, output.explainer_folder(record.explainer["digest"]))
    if not has_explainer(saved):
        return loaded
    begun = load_explainer(saved)
    if begun.digest != record.explainer["digest"]:
        return loaded
    differences = [f"  {name}: {was} there, {now} now" for name, was, now in setting_differences(begun, loaded)]
    if differences:
        lines = "\n".join(differences)
        raise RunConflictError(
            f"the output already holds a run with other settings:\n{lines}\n"
            "Run with the same settings to resume it, or choose another output."
        )
    return begun


def explain_with(content: ContentConfig, loaded: LoadedExplainer, output: RunOutput) -> ContentConfig:
    """Return the settings for actors, which load no text encoder: with prompts they name the output's explainer."""
    if content.prompts is None:
        return content
    url = join(output.url, output.explainer_folder(loaded.digest))
    labels = "\n".join(f"- {label}" for label in loaded.config.labels)
    card = f"# {loaded.config.name}\n\nWith the prompts of a run:\n\n{labels}\n"
    save_explainer(url, loaded.config, loaded.classifier, loaded.decoder, card)
    return content.model_copy(update={"explainer": url, "prompts": None, "classifier": None, "templates": None})
