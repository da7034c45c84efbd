"""Turn the relevance of bins into a mask, and into an order of bins."""

from __future__ import annotations

import re

import torch
from torch import Tensor

from pipeline.lmac.budget import POWER_FLOOR, per_energy
from pipeline.lmac.masking import mask_of, quantised

PER_ENERGY = "_per_energy"
ROOT = "_root"
_DEGREE = 3.0  # chosen on recordings held out from the training of a decoder; 4 and 6 work as well
RANKINGS = "signed, absolute; for budgets of energy signed, absolute or odds with _per_energy or _root_per_energy"
MASKS = "as_written, ones, half, relu_max, abs_max, relu_pN, abs_pN, topN, abs_topN (N a percentage, 1 to 99)"
_SCALED = re.compile(r"(relu|abs)_(?:max|p([1-9]\d?))")
_TOP = re.compile(r"(abs_)?top([1-9]\d?)")


def soft_mask(relevance: Tensor, magnitude: Tensor, how: str) -> Tensor:
    """Make a mask `[B, F, T]` in [0, 1] for each window from relevance `[B, F, T]`, in the dtype of `magnitude`.

    - `relu_max`, `relu_p99`: the positive part over its maximum, or over its 99th (or any) percentile, clipped to 1;
    - `abs_max`, `abs_p99`: the same for the absolute value;
    - `top10`, `abs_top10`: 1 for the tenth of the bins (or any percentage) with the highest relevance, or the highest
      absolute value, else 0; ties are broken by an order of bins that is always the same and unrelated to their place;
    - `as_written`: a decoder's logits as its explainer writes them, the sigmoid in 255ths;
    - `ones`, `half`: the mask that keeps all, and the one that keeps half of every bin, whatever the relevance.

    If that percentile of the positive part (or the absolute value) is 0, the maximum replaces it. No relevance at all
    gives an empty mask.

    Raises ValueError when `how` is none of these, or the relevance holds NaN.
    """
    if relevance.shape != magnitude.shape:
        raise ValueError(f"relevance {tuple(relevance.shape)} must have the magnitude's shape {tuple(magnitude.shape)}")
    if bool(relevance.isnan().any()):
        raise ValueError(f"relevance must not hold NaN to become a mask ({how})")
    if how == "as_written":
        mask = mask_of(quantised(torch.sigmoid(relevance)))
    elif how in ("ones", "half"):
        mask = torch.full_like(magnitude, 1.0 if how == "ones" else 0.5)
    elif scaled := _SCALED.fullmatch(how):
        mask = _scaled(relevance, scaled[1], int(scaled[2]) if scaled[2] else None)
    elif top := _TOP.fullmatch(how):
        mask = _top(ranking(relevance, magnitude, "absolute" if top[1] else "signed"), int(top[2]) / 100)
    else:
        raise ValueError(f"there is no mask {how!r}, choose one of {MASKS}")
    return mask.to(magnitude.dtype)


def ranking(relevance: Tensor, magnitude: Tensor, how: str) -> Tensor:
    """Turn relevance `[B, F, T]` of magnitudes `[B, F, T]` into an order of bins; higher values are kept first.

    - `signed`: as it is; `absolute`: its absolute value;
    - `signed_per_energy`, `absolute_per_energy`: the same over the power of the bin, for budgets of energy alone;
    - `odds_per_energy`: for a decoder's logits, their odds over the power of the bin;
    - `signed_root_per_energy` and so on: the cube root over the power. Relevance spans more decades than power does;
      with the root, bins that are slightly less relevant but far quieter come first.

    Bins of relevance -inf, which a decoder never keeps, stay last. Raises ValueError for any other `how`.
    """
    part = how.removesuffix(PER_ENERGY)
    rooted = is_per_energy(how) and part.endswith(ROOT)
    part = part.removesuffix(ROOT) if rooted else part
    if part not in (("signed", "absolute", "odds") if is_per_energy(how) else ("signed", "absolute")):
        raise ValueError(f"there is no ranking {how!r}, choose one of {RANKINGS}")
    if part == "odds":
        return per_energy(relevance / _DEGREE if rooted else relevance, magnitude)
    never = relevance == -torch.inf
    value = relevance if part == "signed" else relevance.abs()
    if rooted:
        value = value.sign() * value.abs() ** (1 / _DEGREE)
    if is_per_energy(how):
        value = value / (magnitude.square() + POWER_FLOOR)
    return value.masked_fill(never, -torch.inf)


def is_per_energy(how: str) -> bool:
    """Return whether a ranking is for budgets of energy alone."""
    return how.endswith(PER_ENERGY)


def _scaled(relevance: Tensor, part: str, percentile: int | None) -> Tensor:
    size = torch.where(relevance == -torch.inf, 0.0, relevance)
    flat = (size.relu() if part == "relu" else size.abs()).flatten(1)
    scale = flat.amax(dim=1)
    if percentile is not None:
        # kthvalue, as quantile refuses tensors of more than 16 million elements.
        at = flat.kthvalue(max(-(-flat.shape[1] * percentile // 100), 1), dim=1).values
        scale = torch.where(at > 0, at, scale)
    mask = (flat / torch.where(scale > 0, scale, 1.0)[:, None]).clamp(0, 1)
    return mask.reshape(relevance.shape)


def _top(relevance: Tensor, share: float) -> Tensor:
    flat = relevance.flatten(1)
    n_bins = flat.shape[1]
    shuffled = torch.randperm(n_bins, generator=torch.Generator().manual_seed(0)).to(flat.device)
    order = shuffled[flat[:, shuffled].argsort(dim=1, descending=True, stable=True)]
    mask = torch.zeros_like(flat).scatter(1, order[:, : round(share * n_bins)], 1.0)
    return (mask * (flat != 0).any(dim=1, keepdim=True)).reshape(relevance.shape)
