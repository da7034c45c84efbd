"""Gradient methods from captum, each of which attributes the *logit* of a class to the linear magnitude."""

from __future__ import annotations

import torch
from captum.attr import (
    DeepLift,
    GradientShap,
    GuidedBackprop,
    InputXGradient,
    IntegratedGradients,
    NoiseTunnel,
    Saliency,
)
from torch import Tensor, nn

from pipeline.attribution.logits import Logits, LogMelLogits, row_by_row, with_gradients
from pipeline.attribution.method import Attribute, UnsuitedError
from pipeline.models.classifier import Classifier

STEPS = 50
SAMPLES = 25
# A multiple of the window's RMS magnitude: on field recordings 0.5 and 4 work as well, 0.1 far less.
NOISE = 1.0
# Copies of a window that pass through the classifier together.
_TOGETHER = 8
_ACTIVATIONS = ("torch.nn.modules.activation", "transformers.activations")
# These divide by a norm of their input; batch normalisation in evaluation mode is linear.
_NORMALISATIONS = (nn.LayerNorm, nn.RMSNorm, nn.GroupNorm, nn.InstanceNorm1d, nn.InstanceNorm2d)


def saliency(classifier: Classifier) -> Attribute:
    """`d logit / d |X|`, with its sign (Simonyan et al. 2014, arXiv 1312.6034)."""
    method = Saliency(Logits(classifier))
    return with_gradients(lambda x, y: method.attribute(x, target=y, abs=False))


def input_x_gradient(classifier: Classifier) -> Attribute:
    """`|X| d logit / d |X|` (Shrikumar et al. 2016, arXiv 1605.01713)."""
    method = InputXGradient(Logits(classifier))
    return with_gradients(lambda x, y: method.attribute(x, target=y))


def smoothgrad(classifier: Classifier, seed: int) -> Attribute:
    """The mean gradient over 25 noisy copies (Smilkov et al. 2017, arXiv 1706.03825).

    The noise has the window's RMS magnitude: loud bins exceed it, quiet ones do not.
    """
    logits = Logits(classifier)

    def above_zero(x: Tensor) -> Tensor:
        # Noise makes magnitudes negative, where the slopes of the classifier, which squares them, change sign.
        return logits(x + (x.abs() - x).detach())

    method = NoiseTunnel(Saliency(above_zero))

    def attribute(x: Tensor, y: Tensor) -> Tensor:
        level = NOISE * float(x.detach().square().mean().sqrt())
        return method.attribute(
            x, nt_samples=SAMPLES, nt_samples_batch_size=_TOGETHER, stdevs=level, target=y, abs=False
        )

    return with_gradients(row_by_row(attribute, seed))


def integrated_gradients(classifier: Classifier) -> Attribute:
    """Gradients along the straight line from silence, times `|X|`, 50 steps (Sundararajan et al. 2017, 1703.01365)."""
    method = IntegratedGradients(Logits(classifier))

    def attribute(x: Tensor, y: Tensor) -> Tensor:
        return method.attribute(x, target=y, n_steps=STEPS, internal_batch_size=max(_TOGETHER, len(x)))

    return with_gradients(attribute)


def deeplift(classifier: Classifier) -> Attribute:
    """Contributions against silence by the rescale rule (Shrikumar et al. 2017, arXiv 1704.02685).

    captum computes them up to the log-mel. From there to the bins, the rescale rule for logarithm and square is written
    out: each bin gets the share of a mel band's contribution that it has of the band's power. The maximum over time
    passes its contribution to the frame where it is attained.

    Raises UnsuitedError if a classifier does not take the front end's log-mel, or has nonlinear modules other than
    ReLU.
    """
    if type(classifier).from_log_mel is Classifier.from_log_mel:
        raise UnsuitedError(f"made for a classifier of a log-mel, not {type(classifier).__name__}")
    refuse_beyond_relu(classifier)
    # Smaller rectified differences are float32 rounding errors, and their ratio is noise.
    method = DeepLift(LogMelLogits(classifier), eps=1e-6)
    front_end = classifier.front_end

    def attribute(x: Tensor, y: Tensor) -> Tensor:
        silence = front_end.log_mel(torch.zeros_like(x))
        bands = method.attribute(front_end.log_mel(x).detach().requires_grad_(True), silence, target=y)
        power = x.detach().square()
        total = power.transpose(1, 2) @ front_end.mel_weights
        per_power = torch.where(total > 0, bands / total.clamp_min(torch.finfo(x.dtype).tiny), 0.0)
        return power * (per_power @ front_end.mel_weights.T).transpose(1, 2)

    return with_gradients(attribute)


def gradient_shap(classifier: Classifier, seed: int) -> Attribute:
    """Expected gradients between a window and two baselines (Lundberg and Lee 2017, arXiv 1705.07874).

    The baselines are silence, and the window's own mean spectrum held over its length, which is a steady sound. It uses
    25 random points on the lines between window and baselines.
    """
    method = GradientShap(Logits(classifier))

    def attribute(x: Tensor, y: Tensor) -> Tensor:
        steady = x.detach().mean(dim=2, keepdim=True).expand_as(x)
        baselines = torch.cat([torch.zeros_like(steady), steady])
        # captum processes all points at once: fewer at a time need less memory.
        parts = [method.attribute(x, baselines, n_samples=5, target=y) for _ in range(SAMPLES // 5)]
        return torch.stack(parts).mean(dim=0)

    return with_gradients(row_by_row(attribute, seed))


def guided_backprop(classifier: Classifier) -> Attribute:
    """The gradient, with its negative part blocked at each ReLU (Springenberg et al. 2015, arXiv 1412.6806).

    Raises UnsuitedError if a classifier has nonlinear modules other than ReLU.
    """
    refuse_beyond_relu(classifier)
    method = GuidedBackprop(Logits(classifier))
    return with_gradients(lambda x, y: method.attribute(x, target=y))


def refuse_beyond_relu(classifier: Classifier) -> None:
    """Raise UnsuitedError, naming the modules, if a classifier has nonlinear modules other than ReLU.

    captum silently uses the plain gradient of such modules, so that the result would be neither the method's nor the
    gradient.
    """
    if found := sorted({type(module).__name__ for module in classifier.modules() if _beyond_relu(module)}):
        raise UnsuitedError(f"made for ReLUs, and the classifier has {', '.join(found)}")


def _beyond_relu(module: nn.Module) -> bool:
    kind = type(module)
    activation = kind.__module__ in _ACTIVATIONS and kind is not nn.ReLU
    return activation or isinstance(module, _NORMALISATIONS) or "Attention" in kind.__name__
