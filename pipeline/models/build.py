"""Build modules from a configuration."""

from __future__ import annotations

from pipeline.models.clap.clap_classifier import ClapClassifier
from pipeline.models.classifier import Classifier
from pipeline.models.cnn10 import Cnn10
from pipeline.models.decoder import Decoder
from pipeline.models.evidence import decoder_channels
from pipeline.models.film import n_prompt_features
from schemas.explainer_config import ClapConfig, ExplainerConfig


def build_classifier(config: ExplainerConfig) -> Classifier:
    """Build the classifier that a configuration describes, with random weights."""
    if isinstance(config.classifier, ClapConfig):
        return ClapClassifier(config.classifier, config.front_end, len(config.labels))
    return Cnn10(config.classifier, config.front_end, len(config.labels))


def build_decoder(config: ExplainerConfig, classifier: Classifier) -> Decoder:
    """Build the decoder that a configuration describes for a classifier, with random weights.

    Raises ValueError if the configuration has no decoder, or one that does not fit the classifier.
    """
    if config.decoder is None:
        raise ValueError(
            f"explainer {config.name!r} has a classifier but no decoder: train one with `lmac train decoder`"
        )
    fitted = config.decoder.fitted(len(classifier.representation_channels))
    condition = n_prompt_features(config.classifier.projection) if isinstance(config.classifier, ClapConfig) else 0
    return Decoder(fitted, classifier.front_end, decoder_channels(classifier, fitted.evidence or 0), condition)
