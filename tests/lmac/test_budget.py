from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.lmac.budget import budgeted, cut, random_budget, threshold
from tests.models.make import noise


@settings(deadline=None, max_examples=30)
@given(st.floats(0.02, 0.95), st.booleans(), st.integers(0, 9))
def test_what_lies_above_the_threshold_holds_the_share_asked_for(share: float, by_energy: bool, seed: int) -> None:
    logits, magnitude = noise(3, 65, 80, seed=seed, amplitude=4.0), noise(3, 65, 80, seed=seed + 100).abs()
    cost = magnitude.square() if by_energy else torch.ones_like(magnitude)
    at = threshold(logits, cost, torch.full((3,), share))
    held = (cost * (logits > at[:, None, None])).sum(dim=(1, 2)) / cost.sum(dim=(1, 2))
    assert (held <= share + 1e-6).all()
    assert (held >= share - 0.02).all()


def test_inaudible_bins_are_never_kept_but_count_as_size() -> None:
    logits = noise(1, 50, 40, amplitude=2.0)
    logits[:, 25:] = -torch.inf
    kept = logits > threshold(logits, torch.ones_like(logits), torch.tensor([0.25]))[:, None, None]
    assert not kept[:, 25:].any()
    assert kept.float().mean().item() == pytest.approx(0.25, abs=0.01)


def test_each_window_is_cut_at_its_own_budget() -> None:
    logits = noise(2, 50, 40, amplitude=2.0)
    mask = cut(logits, threshold(logits, torch.ones_like(logits), torch.tensor([0.1, 0.5])))
    torch.testing.assert_close(mask.mean(dim=(1, 2)), torch.tensor([0.1, 0.5]), atol=0.01, rtol=0)


def test_a_cut_is_binary_and_its_gradient_that_of_a_sigmoid_at_the_cut() -> None:
    logits = torch.tensor([[[-3.0, 0.9, 1.1, 6.0]]], requires_grad=True)
    mask = cut(logits, torch.tensor([1.0]))
    torch.testing.assert_close(mask.detach(), torch.tensor([[[0.0, 0.0, 1.0, 1.0]]]))
    mask.sum().backward()
    soft = torch.sigmoid(logits.detach() - 1)
    assert logits.grad is not None
    torch.testing.assert_close(logits.grad, soft * (1 - soft))


def test_budgets_are_drawn_within_their_ranges_and_of_both_kinds() -> None:
    share, by_energy = random_budget(400, (0.01, 0.3), (0.4, 0.9), torch.Generator().manual_seed(0))
    assert 150 < int(by_energy.sum()) < 250
    assert ((share[by_energy] >= 0.4) & (share[by_energy] <= 0.9)).all()
    bins = share[~by_energy]
    assert ((bins >= 0.01) & (bins <= 0.3)).all()
    assert (bins < 0.055).float().mean().item() == pytest.approx(0.5, abs=0.12)  # half of a logarithmic range


def test_bins_are_ranked_by_what_they_give_and_for_energy_by_what_they_give_for_it() -> None:
    logits, sound = torch.tensor([[[0.0, 1.0]]]).repeat(2, 1, 1), torch.tensor([[[0.1, 1.0]]]).repeat(2, 1, 1)
    rank, cost = budgeted(logits, sound, torch.tensor([False, True]))
    assert rank[0, 0, 1] > rank[0, 0, 0]
    assert rank[1, 0, 0] > rank[1, 0, 1]
    torch.testing.assert_close(cost, torch.tensor([[[1.0, 1.0]], [[0.01, 1.0]]]))


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 99), st.floats(0.2, 0.9))
def test_per_energy_a_budget_of_energy_holds_more_of_the_odds_than_in_another_order(seed: int, share: float) -> None:
    logits, sound = noise(1, 30, 40, seed=seed, amplitude=2.0), noise(1, 30, 40, seed=seed + 1).abs() + 0.01
    rank, cost = budgeted(logits, sound, torch.tensor([True]))

    def held(order: torch.Tensor) -> float:
        at = threshold(order, cost, torch.tensor([share]))
        return float((logits.exp() * (order > at[:, None, None])).sum())

    assert held(rank) >= held(logits) * 0.98  # a threshold is one of 4096 levels


def test_the_threshold_is_computed_where_the_logits_are() -> None:
    at = threshold(
        torch.zeros(2, 3, 4, device="meta"), torch.ones(2, 3, 4, device="meta"), torch.ones(2, device="meta")
    )
    assert at.device.type == "meta"
    assert at.shape == (2,)
