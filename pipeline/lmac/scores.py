"""How far an explanation can be trusted: the scores of the L-MAC paper (section 4.1), per recording."""

from __future__ import annotations

import torch
from torch import Tensor


def faithfulness(full: Tensor, masked_in: Tensor, masked_out: Tensor, target: Tensor) -> dict[str, Tensor]:
    """Scores `[B]` from class probabilities `[B, C]` of the full, masked-in and masked-out input.

    With p, p_in, p_out the probability of class `target` `[B]`:

    - `ai` average increase, 100 if p_in > p, else 0;
    - `ai_001`, the same for a gain of more than 0.01: an all-ones mask gains 1e-7 here and there;
    - `ad` average drop, `100 max(0, p - p_in) / p`;
    - `ag` average gain, `100 max(0, p_in - p) / (1 - p)`;
    - `ff` faithfulness, `p - p_out`;
    - `fid_in` input fidelity, 1 if the masked-in input is classified as `target`, else 0;
    - `keep`, 1 if the masked-out input still is;
    - `ad_double_softmax`, the drop with softmax applied twice, as published tables have it. For
      comparison with those only: with 50 classes and more a drop from 0.99 to 0, which is 100, reads 62.

    Of a class that was not the decision on the full input, `fid_in` says whether the mask makes it the decision.
    """
    p, p_in, p_out = (_of(probabilities, target) for probabilities in (full, masked_in, masked_out))
    twice, twice_in = _of(full.softmax(1), target), _of(masked_in.softmax(1), target)
    return {
        "p": p,
        "p_in": p_in,
        "p_out": p_out,
        "ai": 100.0 * (p_in > p),
        "ai_001": 100.0 * (p_in > p + 0.01),
        "ad": 100 * (p - p_in).clamp_min(0) / p.clamp_min(torch.finfo(p.dtype).tiny),
        "ag": torch.where(p < 1, 100 * (p_in - p).clamp_min(0) / (1 - p).clamp_min(1e-12), torch.zeros_like(p)),
        "ff": p - p_out,
        "fid_in": (masked_in.argmax(1) == target).to(p.dtype),
        "keep": (masked_out.argmax(1) == target).to(p.dtype),
        "ad_double_softmax": 100 * (twice - twice_in).clamp_min(0) / twice,
    }


def sparseness(levels: Tensor) -> Tensor:
    """SPS `[B]`: the Gini index of masks `[B, F, T]` in 255ths (uint8); 0 for an even one, near 1 for a single bin.

    Chalasani et al. 2020, section 3; as quantus' `Sparseness`. An empty mask is even: 0.
    """
    count = _histogram(levels)
    value = torch.arange(256, dtype=count.dtype, device=count.device)
    n, total = count.sum(dim=1), (count * value).sum(dim=1)
    # Bins of one level take the ranks after all lower ones: `before + 1` to `before + count`.
    before = count.cumsum(dim=1) - count
    ranks = count * before + count * (count + 1) / 2
    weighted = ((2 * ranks - (n[:, None] + 1) * count) * value).sum(dim=1)
    return (weighted / (n * total.clamp_min(1))).float()


def complexity(levels: Tensor) -> Tensor:
    """COMP `[B]`: the entropy in nats of masks `[B, F, T]` in 255ths (uint8), scaled to sum 1; `log(F T)` if even.

    Bhatt et al. 2020, section 3.3; as quantus' `Complexity`. An empty mask has nothing to it: 0.
    """
    count = _histogram(levels)
    value = torch.arange(256, dtype=count.dtype, device=count.device)
    share = value / (count * value).sum(dim=1, keepdim=True).clamp_min(1)
    return -(count * torch.xlogy(share, share)).sum(dim=1).float()


def _histogram(levels: Tensor) -> Tensor:
    # 256 levels are counted in one pass, where 200,000 bins would have to be sorted.
    return torch.stack([torch.bincount(row.flatten(), minlength=256) for row in levels]).double()


def energy_kept(magnitude: Tensor, masked: Tensor) -> Tensor:
    """Share `[B]` of the energy of magnitudes `[B, F, T]` that is left in the masked ones; 0 of silence."""
    whole = magnitude.square().sum(dim=(1, 2))
    return masked.square().sum(dim=(1, 2)) / whole.clamp_min(1e-30)


def _of(probabilities: Tensor, target: Tensor) -> Tensor:
    return probabilities.gather(1, target[:, None])[:, 0]
