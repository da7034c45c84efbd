"""Controls that ignore the classifier: any explanation must beat them."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from pipeline.attribution.method import Attribute


def energy(magnitude: Tensor, target: Tensor) -> Tensor:
    """Return the magnitude itself `[B, F, T]`: what is loud."""
    return magnitude.clone()


def constant(magnitude: Tensor, target: Tensor) -> Tensor:
    """Return ones `[B, F, T]`: the same for every bin."""
    return torch.ones_like(magnitude)


def random(seed: int) -> Attribute:
    """Uniform random numbers in [0, 1) `[B, F, T]`, different for each window but independent of its batch."""

    def attribute(magnitude: Tensor, target: Tensor) -> Tensor:
        rows = [np.random.default_rng([seed, *_trait(row)]).random(row.shape) for row in magnitude]
        return torch.from_numpy(np.stack(rows)).to(magnitude)

    return attribute


def _trait(magnitude: Tensor) -> list[int]:
    # The loudest bin of each eighth distinguishes windows and, unlike a digest of all bits, does not depend on how the
    # last bits were rounded in this batch or on this device.
    return [int(part.argmax()) for part in magnitude.chunk(8, dim=1)]
