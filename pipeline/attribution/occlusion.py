"""Occlusion: how much the logit drops when a patch of time and frequency is silenced."""

from __future__ import annotations

import torch
from captum.attr import Occlusion
from torch import Tensor
from torch.nn.functional import interpolate

from pipeline.attribution.logits import Logits, with_gradients
from pipeline.attribution.method import Attribute
from pipeline.models.classifier import Classifier

# Patches are two cells by two and overlap by half: 11 x 11 passes, each over 1/6 of the time and of the mel scale.
GRID = 12
PATCH = (2, 2)
_TOGETHER = 8


def occlusion(classifier: Classifier) -> Attribute:
    """The drop of the logit under patches of silence (Zeiler and Fergus 2014, arXiv 1311.2901), 121 passes a window.

    The patches are uniform on the mel scale, as linear ones would be too broad for low sounds. Each cell gets the mean
    over the patches that cover it; the cells are interpolated, and mapped to bins by the front end's `spread`.
    """
    model, front_end = Logits(classifier), classifier.front_end
    n_mels = front_end.config.n_mels
    # A bin belongs to the mel band that weights it most.
    band_of_bin = front_end.mel_weights.argmax(dim=1) * GRID // n_mels

    def gated(gates: Tensor, magnitude: Tensor) -> Tensor:
        frames = magnitude.shape[2]
        cell_of_frame = torch.arange(frames, device=gates.device) * GRID // frames
        gate = gates[:, cell_of_frame][:, :, band_of_bin].transpose(1, 2)
        return model(gate * magnitude)

    method = Occlusion(gated)

    def attribute(x: Tensor, y: Tensor) -> Tensor:
        gates = x.new_ones(len(x), GRID, GRID)
        cells = method.attribute(
            gates, PATCH, target=y, additional_forward_args=x.detach(), perturbations_per_eval=_TOGETHER
        )
        size = (x.shape[2], n_mels)
        return front_end.spread(interpolate(cells[:, None], size=size, mode="bilinear", align_corners=False)[:, 0])

    return with_gradients(attribute)
