"""The methods to compare: the explainer's own decoder, decoders of other explainers, and the baselines."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline.attribution.baselines import BASELINES, baseline, unsuited
from pipeline.attribution.method import Method
from pipeline.attribution.trained import trained
from pipeline.evaluation.batch import WindowBatch
from pipeline.evaluation.names import EvaluationError, known_name, same_name
from pipeline.lmac.explainer import Explainer
from pipeline.models.checkpoint import weights_digest
from pipeline.models.classifier import Classifier
from pipeline.storage.filesystem import display_url

OWN = "lmac"
IDEAL = "ideal"
ALL = "all"


def own_name(refine: int) -> str:
    """Return the name of the explainer's masks after `refine` gradient steps, or of its own masks for 0."""
    return f"{OWN}_refine_{refine}" if refine else OWN


def is_own(method: str) -> bool:
    """Return whether a method is the explainer itself, refined or not."""
    return method == OWN or re.fullmatch(rf"{OWN}_refine_\d+", method) is not None


@dataclass(frozen=True)
class ComparedMethod:
    """A method as measured: relevance `[B, F, T]` for a batch of windows, and the masks and orders that suit it.

    `domain` says what its soft masks multiply; `digest` covers all that its relevance depends on besides the audio;
    `build`, if any, makes the same method for another classifier of the same shape.
    """

    name: str
    relevance: Callable[[WindowBatch], Tensor]
    masks: tuple[str, ...]
    rankings: tuple[str, ...]
    domain: str
    digest: str
    build: Callable[[Classifier], Method] | None = None


def relevance_of(method: Method) -> Callable[[WindowBatch], Tensor]:
    """Return a function for a method's relevance that respects its largest batch."""

    def relevance(batch: WindowBatch) -> Tensor:
        size = method.largest_batch or len(batch.target)
        parts = zip(batch.magnitude.split(size), batch.target.split(size), strict=True)
        return torch.cat([method.attribute(magnitude, target).detach() for magnitude, target in parts])

    return relevance


def compared_methods(
    explainer: Explainer, baselines: Sequence[str], against: Mapping[str, str], refine: int | None, seed: int
) -> list[ComparedMethod]:
    """Return the explainer's decoder first, then its refined masks, other explainers' decoders, and named baselines.

    Raises EvaluationError for a name used twice, or an explainer of another classifier; ExplainerError if one cannot
    be loaded.
    """
    classifier = explainer.classifier
    digest = classifier_digest(classifier, explainer.config.labels)
    found = [_own(own_name(steps), explainer, steps) for steps in (0, *([refine] if refine else []))]
    for name, url in against.items():
        taken = [IDEAL, *BASELINES, *(one.name for one in found)]
        if name.lower().startswith(OWN) or any(same_name(name, other) for other in taken):
            raise EvaluationError(f"--against {name}=... has a name that means another method: choose one of your own")
        other = Explainer.load(url, str(explainer.device))
        if classifier_digest(other.classifier, other.config.labels) != digest:
            raise EvaluationError(
                f"{display_url(url)} explains another classifier than {explainer.config.name}: only decoders of one "
                "classifier can be compared"
            )
        found.append(_own(name, other))
    found += [_baseline(name, classifier, digest, seed) for name in baselines]
    return found


def chosen_baselines(methods: Sequence[str], explainer: Explainer) -> tuple[list[str], dict[str, str]]:
    """Return the baselines among `methods` in table order and, with "all", why others are left out, by name.

    "all" means all that suit the explainer's classifier; `lmac` is always compared. Names may be written as they are
    printed. Raises EvaluationError for unknown names, and for given baselines that do not suit the classifier.
    """
    named = [known_name(name, (OWN, *BASELINES, ALL), "--methods") for name in methods]
    reasons = {name: unsuited(name, explainer.classifier) for name in BASELINES}
    suited = [name for name, reason in reasons.items() if reason is None]
    left_out = {name: reason for name, reason in reasons.items() if reason is not None}
    if wrong := [name for name in left_out if name in named]:
        kind = explainer.config.classifier.kind
        raise EvaluationError(
            f"--methods {wrong[0]} does not suit {explainer.config.name}, whose classifier is of the kind {kind!r}: "
            f"{left_out[wrong[0]]}; choose from {OWN}, {', '.join(suited)}, or {ALL}"
        )
    if ALL in named:
        return suited, left_out
    return [name for name in suited if name in named], {}


def classifier_digest(classifier: Classifier, labels: Sequence[str]) -> str:
    """Return the SHA-256 of a classifier: of its labels, its front end and its weights."""
    return weights_digest(classifier, *labels, classifier.front_end.config.model_dump_json())


def _own(name: str, explainer: Explainer, refine: int = 0) -> ComparedMethod:
    config, decoder, device = explainer.config, explainer.decoder, str(explainer.device)

    def build(classifier: Classifier) -> Method:
        return trained(name, Explainer(config, classifier, decoder, device), refine)

    method, digest = trained(name, explainer, refine), f"{explainer.digest}-{refine}"
    return ComparedMethod(name, relevance_of(method), method.masks, method.rankings, config.mask_domain, digest, build)


def _baseline(name: str, classifier: Classifier, digest: str, seed: int) -> ComparedMethod:
    def build(other: Classifier) -> Method:
        return baseline(name, other, seed)

    method = build(classifier)
    return ComparedMethod(
        name, relevance_of(method), method.masks, method.rankings, "magnitude", f"{digest}-{seed}", build
    )
