"""Who is compared: the explainer's own decoder, decoders of other explainers, and the baselines."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline.attribution.baselines import BASELINES, baseline, unsuited
from pipeline.attribution.method import Method
from pipeline.attribution.trained import trained
from pipeline.evaluation.faults import EvaluationError
from pipeline.evaluation.heard import Heard
from pipeline.lmac.explainer import Explainer
from pipeline.models.checkpoint import weights_digest
from pipeline.models.classifier import Classifier
from pipeline.storage.filesystem import display_url

OWN = "lmac"
IDEAL = "ideal"


def is_own(method: str) -> bool:
    """Whether a method is the explainer itself, refined or not."""
    return method == OWN or re.fullmatch(rf"{OWN}_refine_\d+", method) is not None


@dataclass(frozen=True)
class Contender:
    """A method as it is measured: relevance `[B, F, T]` of windows heard, the masks and orders that suit it, what its
    soft masks multiply, and a digest of all that its relevance depends on besides the audio.

    `build` makes the same method for another classifier of the same shape, where there is one.
    """

    name: str
    relevance: Callable[[Heard], Tensor]
    masks: tuple[str, ...]
    rankings: tuple[str, ...]
    domain: str
    digest: str
    build: Callable[[Classifier], Method] | None = None


def relevance_of(method: Method) -> Callable[[Heard], Tensor]:
    """A method's relevance, in batches no larger than it bears."""

    def relevance(heard: Heard) -> Tensor:
        size = method.largest_batch or len(heard.target)
        parts = zip(heard.magnitude.split(size), heard.target.split(size), strict=True)
        return torch.cat([method.attribute(magnitude, target).detach() for magnitude, target in parts])

    return relevance


def contenders(
    explainer: Explainer, baselines: Sequence[str], against: Mapping[str, str], refine: int | None, seed: int
) -> list[Contender]:
    """The explainer's decoder first, then its refined masks, other explainers' decoders, and baselines by name.

    Raises EvaluationError for a name used twice, or an explainer of another classifier; ExplainerError when one cannot
    be loaded.
    """
    classifier = explainer.classifier
    digest = classifier_digest(classifier, explainer.config.labels)
    found = [_own(OWN, explainer)]
    if refine is not None:
        found.append(_own(f"{OWN}_refine_{refine}", explainer, refine))
    for name, url in against.items():
        if name in (*BASELINES, IDEAL) or name.startswith(OWN):
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
    """The baselines asked for, in the order of tables, and by name why others are left out, if all were asked for.

    "all" stands for all that suit the explainer's classifier; `lmac` is there in any case. Raises EvaluationError for a
    name that is not known, and for one that is named and does not suit.
    """
    for name in methods:
        if name not in (*BASELINES, OWN, "all"):
            raise EvaluationError(f"there is no method {name!r}: choose from {OWN}, {', '.join(BASELINES)}, or all")
    reasons = {name: unsuited(name, explainer.classifier) for name in BASELINES}
    suited = [name for name, reason in reasons.items() if reason is None]
    left_out = {name: reason for name, reason in reasons.items() if reason is not None}
    if wrong := [name for name in left_out if name in methods]:
        kind = explainer.config.classifier.kind
        raise EvaluationError(
            f"--methods {wrong[0]} does not suit {explainer.config.name}, whose classifier is of the kind {kind!r}: "
            f"{left_out[wrong[0]]}; choose from {OWN}, {', '.join(suited)}, or all"
        )
    if "all" in methods:
        return suited, left_out
    return [name for name in suited if name in methods], {}


def classifier_digest(classifier: Classifier, labels: Sequence[str]) -> str:
    """SHA-256 of a classifier: its labels, its front end and its weights."""
    return weights_digest(classifier, *labels, classifier.front_end.config.model_dump_json())


def _own(name: str, explainer: Explainer, refine: int = 0) -> Contender:
    config, decoder, device = explainer.config, explainer.decoder, str(explainer.device)

    def build(classifier: Classifier) -> Method:
        return trained(name, Explainer(config, classifier, decoder, device), refine)

    method, digest = trained(name, explainer, refine), f"{explainer.digest}-{refine}"
    return Contender(name, relevance_of(method), method.masks, method.rankings, config.mask_domain, digest, build)


def _baseline(name: str, classifier: Classifier, digest: str, seed: int) -> Contender:
    def build(other: Classifier) -> Method:
        return baseline(name, other, seed)

    method = build(classifier)
    return Contender(name, relevance_of(method), method.masks, method.rankings, "magnitude", f"{digest}-{seed}", build)
