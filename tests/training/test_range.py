from __future__ import annotations

import pytest
import torch

from pipeline.lmac.objective import softened
from pipeline.training.decoder_task import beyond


def test_logits_that_a_sigmoid_tells_apart_cost_nothing() -> None:
    assert beyond(torch.tensor([[[-8.0, 0.0, 7.9]]])).item() == 0


def test_logits_beyond_cost_their_square_and_inaudible_bins_do_not_count() -> None:
    logits = torch.tensor([[[-10.0, 0.0, -torch.inf]]], requires_grad=True)
    cost = beyond(logits)
    cost.backward()
    assert cost.item() == pytest.approx(2.0**2 / 2)
    assert logits.grad is not None
    assert logits.grad.tolist() == [[[-2.0, 0.0, 0.0]]]


@pytest.mark.parametrize(("softness", "wanted"), [(0.0, 1.6094379), (1.0, 0.8), (0.5, 2 * (1 - 0.2**0.5))])
def test_softness_leads_from_the_logarithm_to_the_probability_itself(softness: float, wanted: float) -> None:
    assert softened(torch.tensor(0.2).log(), softness).item() == pytest.approx(wanted, rel=1e-5)


def test_a_soft_loss_leaves_the_hopeless_alone() -> None:
    log_p = torch.tensor([-12.0, -0.7], requires_grad=True)
    softened(log_p, 0.5).sum().backward()
    assert log_p.grad is not None
    hopeless, open_ = log_p.grad.abs().tolist()
    assert hopeless < 0.01 * open_
