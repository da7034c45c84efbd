"""Controls, which know nothing about the classifier: any explanation must beat them."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from pipeline.attribution.method import Attribute


def energy(magnitude: Tensor, target: Tensor) -> Tensor:
    """What is loud: the magnitude itself `[B, F, T]`."""
    return magnitude.clone()


def constant(magnitude: Tensor, target: Tensor) -> Tensor:
    """The same for every bin: ones `[B, F, T]`."""
    return torch.ones_like(magnitude)


def random(seed: int) -> Attribute:
    """Numbers drawn evenly from [0, 1) `[B, F, T]`, others for each window and the same for it in every batch."""

    def attribute(magnitude: Tensor, target: Tensor) -> Tensor:
        rows = [np.random.default_rng([seed, *_trait(row)]).random(row.shape) for row in magnitude]
        return torch.from_numpy(np.stack(rows)).to(magnitude)

    return attribute


def _trait(magnitude: Tensor) -> list[int]:
    # The loudest bin of each eighth tells windows apart, and unlike a digest of all bits it does not depend on how
    # the last of them was rounded in this batch or on this device.
    return [int(part.argmax()) for part in magnitude.chunk(8, dim=1)]
