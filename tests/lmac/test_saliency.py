from __future__ import annotations

import torch

from pipeline.lmac.saliency import gradient_saliency
from tests.lmac.fakes import LinearClassifier


def test_the_saliency_of_a_linear_classifier_is_the_size_of_its_weights() -> None:
    weights = torch.tensor([[1.0, -2.0, 0.0], [0.5, 0.0, 3.0]])
    magnitude = torch.rand(2, 3, 4, generator=torch.Generator().manual_seed(0))
    got = gradient_saliency(LinearClassifier(weights), magnitude, torch.tensor([0, 1]))
    expected = weights.abs()[:, :, None].expand(2, 3, 4) / 4  # the mean over four frames
    torch.testing.assert_close(got, expected)
