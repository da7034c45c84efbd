"""Binary masks of a given size, cut from a ranking of the bins so that a decoder can learn the ranking."""

from __future__ import annotations

import math

import torch
from torch import Generator, Tensor

_LEVELS = 4096
# About the power of 16-bit rounding in a bin: quieter bins all cost the same.
POWER_FLOOR = 1e-7


def threshold(logits: Tensor, cost: Tensor, share: Tensor) -> Tensor:
    """Return thresholds `[B]` above which the logits' bins `[B, F, T]` hold at most `share` `[B]` of the total `cost`.

    They are accurate to 1/4096 of the logits' range. `cost` `[B, F, T]` is 1 for each bin, or its energy.

    >>> logits = torch.arange(100.0).reshape(1, 10, 10)
    >>> at = threshold(logits, torch.ones_like(logits), share=torch.tensor([0.25]))
    >>> int((logits > at).sum())
    25
    """
    flat, weight = logits.flatten(1), cost.flatten(1).double()
    finite = torch.where(flat.isfinite(), flat, torch.inf)
    low = finite.amin(dim=1, keepdim=True)
    span = (flat.amax(dim=1, keepdim=True) - low).clamp_min(1e-6)
    level = ((flat - low) / span * (_LEVELS - 1)).clamp(0, _LEVELS - 1).long()
    # A histogram instead of sorting 200,000 bins per window and step.
    held = weight.new_zeros(len(flat), _LEVELS).scatter_add_(1, level, weight)
    above = held.flip(1).cumsum(1)  # cost of the topmost 1, 2, ... levels
    levels_kept = (above <= share[:, None].double() * weight.sum(1, keepdim=True)).sum(1)
    return low[:, 0] + span[:, 0] * (_LEVELS - levels_kept) / (_LEVELS - 1)


def per_energy(logits: Tensor, magnitude: Tensor) -> Tensor:
    """Return the log of the mask's odds divided by the power of each bin in `magnitude`; all are `[B, F, T]`.

    This ranks bins for a budget of energy: the bin with the highest odds per energy comes first (Dantzig 1957).
    """
    return logits - (magnitude.square() + POWER_FLOOR).log()


def budgeted(logits: Tensor, magnitude: Tensor, by_energy: Tensor) -> tuple[Tensor, Tensor]:
    """Return a ranking of bins and their cost, both `[B, F, T]`; the cost is energy where `by_energy` `[B]`, else 1."""
    of_energy = by_energy[:, None, None]
    rank = torch.where(of_energy, per_energy(logits, magnitude), logits)
    return rank, torch.where(of_energy, magnitude.square(), torch.ones_like(magnitude))


def cut(logits: Tensor, at: Tensor) -> Tensor:
    """Return binary masks `[B, F, T]` of the bins whose logit lies above `at` `[B]`, with the gradient of a sigmoid.

    This is the straight-through estimator (Bengio et al. 2013, arXiv 1308.3432).
    """
    distance = logits - at[:, None, None]
    soft = torch.sigmoid(distance)
    return (distance > 0).to(soft.dtype) + soft - soft.detach()


def random_budget(
    n: int, bins: tuple[float, float], energy: tuple[float, float], rng: Generator
) -> tuple[Tensor, Tensor]:
    """Draw shares `[n]`, and for each whether it is a share of energy (bool `[n]`) or of bins, with equal chances.

    Shares of bins are log-uniform within `bins`, shares of energy uniform within `energy`.
    """
    low, high = math.log(bins[0]), math.log(bins[1])
    of_bins = torch.exp(torch.rand(n, generator=rng) * (high - low) + low)
    of_energy = torch.rand(n, generator=rng) * (energy[1] - energy[0]) + energy[0]
    by_energy = torch.rand(n, generator=rng) < 0.5
    return torch.where(by_energy, of_energy, of_bins), by_energy
