from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from pipeline.evaluation.sizes import bins_within, energy_within, first_bins, place_in_order

BUDGETS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 0.77, 0.9, 1.0)
ranks = st.lists(st.floats(-5, 5, width=16), min_size=1, max_size=60)


def column(values: list[float]) -> Tensor:
    return torch.tensor(values)[None]


def test_the_highest_come_first() -> None:
    assert place_in_order(column([0.1, 3.0, -torch.inf, 2.0]), 0).tolist() == [[2, 0, 3, 1]]


@given(ranks)
def test_every_bin_has_one_place_and_none_before_a_higher_one(values: list[float]) -> None:
    place = place_in_order(column(values), 0)[0]
    assert sorted(place.tolist()) == list(range(len(values)))
    ordered = torch.tensor(values)[place.argsort()]
    assert (ordered.diff() <= 0).all()


def test_bins_of_one_rank_are_not_taken_in_the_order_of_their_numbers() -> None:
    kept = first_bins(place_in_order(torch.zeros(1, 10_000), 0), torch.tensor([1000]))
    where = kept[0].nonzero().float()
    assert where.mean() == pytest.approx(5000, abs=300)
    assert where.std() == pytest.approx(10_000 / 12**0.5, rel=0.05)


def test_bins_of_one_rank_have_the_same_places_in_every_window_and_batch() -> None:
    both = place_in_order(torch.zeros(2, 100), 3)
    assert torch.equal(both[0], both[1])
    assert torch.equal(both[:1], place_in_order(torch.zeros(1, 100), 3))
    assert not torch.equal(both[:1], place_in_order(torch.zeros(1, 100), 4))


@pytest.mark.parametrize("n", [1, 7, 100, 205_713])
def test_a_budget_of_bins_is_kept_to_the_bin(n: int) -> None:
    counts = bins_within(torch.zeros(1, n), BUDGETS)[0].tolist()
    assert counts == [int(round(budget * 1e6) * n // 1e6) for budget in BUDGETS]


@given(ranks, st.integers(0, 2**16))
def test_the_energy_kept_is_within_the_budget_and_no_bin_more_would_be(values: list[float], seed: int) -> None:
    energy = torch.rand(1, len(values), generator=torch.Generator().manual_seed(seed)) + 1e-3
    place = place_in_order(column(values), 0)
    total = energy.double().sum()
    for k, budget in enumerate(BUDGETS):
        count = energy_within(place, energy, BUDGETS)[:, k]
        kept = (energy * first_bins(place, count)).double().sum()
        assert kept <= budget * total * (1 + 1e-9)
        if int(count) < len(values):
            assert (energy * first_bins(place, count + 1)).double().sum() > budget * total


def test_bins_without_energy_are_free() -> None:
    energy = torch.tensor([[3.0, 0.0, 0.0, 1.0]])
    place = torch.arange(4)[None]
    assert energy_within(place, energy, (0.5, 0.75)).tolist() == [[0, 3]]


def test_a_larger_budget_keeps_all_that_a_smaller_one_keeps() -> None:
    place = place_in_order(torch.rand(2, 500, generator=torch.Generator().manual_seed(0)), 0)
    counts = bins_within(place, BUDGETS)
    masks = [first_bins(place, counts[:, k]) for k in range(len(BUDGETS))]
    assert all((small <= large).all() for small, large in pairwise(masks))
