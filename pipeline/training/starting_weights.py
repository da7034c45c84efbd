"""Start a decoder's training from the weights of another explainer's decoder."""

from __future__ import annotations

from pipeline.models.checkpoint import LoadedExplainer, load_explainer, weights_digest
from pipeline.models.clap.clap_classifier import ClapClassifier
from pipeline.models.decoder import Decoder
from pipeline.storage.filesystem import display_url
from pipeline.training.loop import TrainingError
from schemas.explainer_config import ExplainerConfig


def load_starting_weights(start: str, decoder: Decoder, config: ExplainerConfig, loaded: LoadedExplainer) -> str:
    """Copy the decoder weights of the explainer `start` into a decoder for `loaded`; return the digest of `start`.

    Raises TrainingError if `start` has no decoder, one of another shape, or one that was trained for another CLAP.
    """
    found, where = load_explainer(start), f"start {display_url(start)}"
    if found.decoder is None:
        raise TrainingError(f"{where} has no decoder: give an explainer that has one, or leave start out")
    prompted = config.decoder is not None and config.decoder.prompted
    theirs, ours = _shape(found.config, prompted), _shape(config, prompted)
    for name in sorted(theirs.keys() | ours.keys()):
        if theirs.get(name) != ours.get(name):
            raise TrainingError(
                f"{where}: its {name} is {theirs.get(name)}, and {ours.get(name)} in this training: decoder, "
                "classifier and front end must have the same settings in both"
            )
    if prompted and _audio_digest(found) != _audio_digest(loaded):
        raise TrainingError(
            f"{where}: its decoder was trained for a CLAP whose audio encoder has other weights: give the CLAP it was "
            "trained for, or leave start out"
        )
    decoder.load_state_dict(found.decoder.state_dict())
    return found.digest


def _shape(config: ExplainerConfig, prompted: bool) -> dict[str, object]:
    """Return the settings, by name, that two explainers must share; a prompted decoder works with any prompts."""
    free = ("classifier.prompts", "classifier.templates", "classifier.text_encoder") if prompted else ()
    settings = {
        f"{part}.{name}": value
        for part, values in config.model_dump(include={"decoder", "classifier", "front_end"}).items()
        for name, value in (values or {}).items()
    }
    return {name: value for name, value in settings.items() if name not in free}


def _audio_digest(explainer: LoadedExplainer) -> str:
    assert isinstance(explainer.classifier, ClapClassifier)
    return weights_digest(explainer.classifier.htsat)
