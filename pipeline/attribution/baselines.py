"""The baselines by name: what people use instead of a trained explainer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pipeline.attribution import controls, gradients
from pipeline.attribution.gradcam import gradcam, guided_gradcam
from pipeline.attribution.method import Attribute, Method, UnsuitedError
from pipeline.attribution.occlusion import occlusion
from pipeline.models.classifier import Classifier

_POSITIVE = ("signed", "signed_per_energy", "signed_root_per_energy")
_BOTH = (*_POSITIVE, "absolute", "absolute_per_energy", "absolute_root_per_energy")
# The best masks of each on field recordings, among the percentiles 99 and 90, the maximum, and the top 10% and 20% of
# bins: a tenth of the bins at 1 drops less than a hundredth, and the absolute value less than the positive part.
_SIGNED = ("relu_p99", "relu_p90", "abs_p90", "top20")
_UNSIGNED = ("abs_p99", "relu_p90", "abs_p90", "top20")
_MAP = ("relu_max", "relu_p99", "relu_p90", "top20")


@dataclass(frozen=True)
class _Baseline:
    make: Callable[[Classifier, int], Attribute]
    masks: tuple[str, ...]
    rankings: tuple[str, ...] = ("signed",)
    largest_batch: int | None = None


_BASELINES = {
    "saliency": _Baseline(lambda c, seed: gradients.saliency(c), _UNSIGNED, _BOTH),
    "input_x_gradient": _Baseline(lambda c, seed: gradients.input_x_gradient(c), _SIGNED, _BOTH),
    "smoothgrad": _Baseline(gradients.smoothgrad, _UNSIGNED, _BOTH),
    "integrated_gradients": _Baseline(lambda c, seed: gradients.integrated_gradients(c), _SIGNED, _BOTH, 8),
    "deeplift": _Baseline(lambda c, seed: gradients.deeplift(c), _SIGNED, _BOTH, 8),
    "gradient_shap": _Baseline(gradients.gradient_shap, _SIGNED, _BOTH),
    "guided_backprop": _Baseline(lambda c, seed: gradients.guided_backprop(c), _UNSIGNED, _BOTH),
    "gradcam": _Baseline(lambda c, seed: gradcam(c), _MAP, _POSITIVE),
    "guided_gradcam": _Baseline(lambda c, seed: guided_gradcam(c), _SIGNED, _BOTH),
    "occlusion": _Baseline(lambda c, seed: occlusion(c), _MAP, _POSITIVE, 2),
    "energy": _Baseline(lambda c, seed: controls.energy, ("relu_p99", "relu_p90", "top20")),
    "random": _Baseline(lambda c, seed: controls.random(seed), ("top20", "top10")),
    # Per energy, it keeps the quietest bins first, which every energy budget rewards.
    "constant": _Baseline(lambda c, seed: controls.constant, ("ones", "half"), ("signed", "signed_per_energy")),
}

# In the order in which tables show them.
BASELINES: tuple[str, ...] = tuple(_BASELINES)


def baseline(name: str, classifier: Classifier, seed: int = 0) -> Method:
    """Build a baseline by its name; `seed` is for those that draw at random.

    Raises ValueError if there is none of this name, UnsuitedError if it does not suit the classifier.
    """
    if name not in _BASELINES:
        raise ValueError(f"there is no method {name!r}, choose from {', '.join(BASELINES)}")
    made = _BASELINES[name]
    return Method(name, made.make(classifier, seed), made.masks, made.rankings, made.largest_batch)


def unsuited(name: str, classifier: Classifier) -> str | None:
    """Return why a baseline does not suit a classifier (what it was made for, and what the classifier has), or None."""
    try:
        baseline(name, classifier)
    except UnsuitedError as error:
        return str(error)
    return None
