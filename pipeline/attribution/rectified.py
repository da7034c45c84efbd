"""What methods with rules for ReLUs are silent about."""

from __future__ import annotations

from torch import nn

from pipeline.attribution.method import UnsuitedError
from pipeline.models.classifier import Classifier

_ACTIVATIONS = ("torch.nn.modules.activation", "transformers.activations")
# They divide by what they hear; a batch normalisation in evaluation mode is linear.
_NORMALISATIONS = (nn.LayerNorm, nn.RMSNorm, nn.GroupNorm, nn.InstanceNorm1d, nn.InstanceNorm2d)


def refuse_beyond_relu(classifier: Classifier) -> None:
    """Raise UnsuitedError where a classifier has nonlinear modules other than ReLU, and name them.

    captum's hooks pass such modules with their plain gradient, and say nothing: the result is neither the method's nor
    the gradient.
    """
    if found := sorted({type(module).__name__ for module in classifier.modules() if _beyond_relu(module)}):
        raise UnsuitedError(f"made for ReLUs, and the classifier has {', '.join(found)}")


def _beyond_relu(module: nn.Module) -> bool:
    kind = type(module)
    activation = kind.__module__ in _ACTIVATIONS and kind is not nn.ReLU
    return activation or isinstance(module, _NORMALISATIONS) or "Attention" in kind.__name__
