"""Binary masks of equal size: the first bins of a ranking, up to a share of the bins or of the energy."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def place_in_order(rank: Tensor, seed: int) -> Tensor:
    """Return the position `[B, N]` of each bin, from 0, when the highest `rank` `[B, N]` comes first.

    Bins of equal rank are in a random order, the same for each window: in the order of their numbers, a flat map would
    become a low-pass filter.
    """
    shuffle = torch.randperm(rank.shape[1], generator=torch.Generator().manual_seed(seed)).to(rank.device)
    order = shuffle[torch.sort(rank[:, shuffle], dim=1, descending=True, stable=True).indices]
    places = torch.arange(rank.shape[1], device=rank.device).expand_as(order)
    return torch.empty_like(order).scatter_(1, order, places)


def bins_within(place: Tensor, budgets: Sequence[float]) -> Tensor:
    """Return how many first bins `[B, K]` fit into each of K shares of all bins."""
    # Rounded first: 0.29 x 100 is 28.999999999999996.
    counts = [int(round(budget * place.shape[1], 6)) for budget in budgets]
    return torch.tensor(counts, device=place.device).expand(len(place), -1)


def energy_within(place: Tensor, energy: Tensor, budgets: Sequence[float]) -> Tensor:
    """Return how many first bins `[B, K]` fit into each of K shares of the energy; `place` and `energy` are `[B, N]`.

    This is the longest such prefix: bins without energy are free.
    """
    ordered = torch.zeros_like(energy, dtype=torch.float64).scatter_(1, place, energy.double())
    running = ordered.cumsum(dim=1)
    # Slightly more, so that rounding in the sum does not exclude a prefix of exactly the budget.
    limit = running[:, -1:] * torch.tensor(budgets, dtype=torch.float64, device=place.device) * (1 + 1e-12)
    return torch.searchsorted(running, limit, right=True)


def first_bins(place: Tensor, count: Tensor) -> Tensor:
    """Return the bool mask `[B, N]` of the first `count` `[B]` bins."""
    return place < count[:, None]
