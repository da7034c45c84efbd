"""GradCAM on the classifier's last block, mapped to the bins of the linear magnitude."""

from __future__ import annotations

from captum.attr import LayerGradCam
from torch import Tensor
from torch.nn.functional import interpolate

from pipeline.attribution.gradients import guided_backprop
from pipeline.attribution.logits import Logits, with_gradients
from pipeline.attribution.method import Attribute, UnsuitedError
from pipeline.models.classifier import Classifier


def gradcam(classifier: Classifier) -> Attribute:
    """Activations of the last block, each channel weighted by its mean gradient (Selvaraju et al. 2017, 1610.02391).

    The result is signed, as in captum. The map of time and mel bands is interpolated and mapped to linear bins by the
    front end's `spread`. Raises UnsuitedError if a classifier has no such block.
    """
    try:
        method = LayerGradCam(Logits(classifier), classifier.last_block)
    except NotImplementedError as error:
        raise UnsuitedError(f"made for classifiers with a convolutional block, and {error}") from None
    front_end = classifier.front_end

    def attribute(x: Tensor, y: Tensor) -> Tensor:
        cells = method.attribute(x, target=y)
        size = (x.shape[2], front_end.config.n_mels)
        return front_end.spread(enlarged(cells, size)[:, 0])

    return with_gradients(attribute)


def guided_gradcam(classifier: Classifier) -> Attribute:
    """Guided backpropagation times the positive part of GradCAM (Selvaraju et al. 2017, section 3.2).

    Raises UnsuitedError if either of the two does.
    """
    where, what = gradcam(classifier), guided_backprop(classifier)
    return lambda x, y: where(x, y).relu() * what(x, y)


def enlarged(cells: Tensor, size: tuple[int, int]) -> Tensor:
    """Interpolate cells `[B, C, T', M']`, from halvings that each rounded up, to `[B, C, *size]`.

    The last cell may reach beyond the edge: the cells are enlarged by a power of two, and the excess is cut off.
    """
    factors = [1 << (-(-whole // part) - 1).bit_length() for whole, part in zip(size, cells.shape[2:], strict=True)]
    whole = [part * factor for part, factor in zip(cells.shape[2:], factors, strict=True)]
    return interpolate(cells, size=whole, mode="bilinear", align_corners=False)[:, :, : size[0], : size[1]]
