"""How far an explanation can be trusted: the scores of the L-MAC paper (section 4.1), per clip."""

from __future__ import annotations

import torch
from torch import Tensor


def faithfulness(full: Tensor, masked_in: Tensor, masked_out: Tensor, target: Tensor) -> dict[str, Tensor]:
    """Scores `[B]` from class probabilities `[B, C]` of the full, masked-in and masked-out input.

    With p, p_in, p_out the probability of class `target` `[B]`:

    - `ai` average increase, 100 if p_in > p, else 0;
    - `ad` average drop, `100 max(0, p - p_in) / p`;
    - `ag` average gain, `100 max(0, p_in - p) / (1 - p)`;
    - `ff` faithfulness, `p - p_out`;
    - `fid_in` input fidelity, 1 if the masked-in input is classified as `target`, else 0;
    - `keep`, 1 if the masked-out input still is;
    - `ad_double_softmax`, the drop with softmax applied twice, as published tables have it. For
      comparison with those only: with 50 classes and more a drop from 0.99 to 0, which is 100, reads 62.
    """
    p, p_in, p_out = (_of(probabilities, target) for probabilities in (full, masked_in, masked_out))
    twice, twice_in = _of(full.softmax(1), target), _of(masked_in.softmax(1), target)
    return {
        "p": p,
        "p_in": p_in,
        "p_out": p_out,
        "ai": 100.0 * (p_in > p),
        "ad": 100 * (p - p_in).clamp_min(0) / p.clamp_min(torch.finfo(p.dtype).tiny),
        "ag": torch.where(p < 1, 100 * (p_in - p).clamp_min(0) / (1 - p).clamp_min(1e-12), torch.zeros_like(p)),
        "ff": p - p_out,
        "fid_in": (masked_in.argmax(1) == target).to(p.dtype),
        "keep": (masked_out.argmax(1) == target).to(p.dtype),
        "ad_double_softmax": 100 * (twice - twice_in).clamp_min(0) / twice,
    }


def sparseness(mask: Tensor) -> Tensor:
    """SPS `[B]`: the Gini index of a mask `[B, F, T]`, 0 for an even one, near 1 for a single bin.

    Chalasani et al. 2020, section 3; as quantus' `Sparseness`. An empty mask is even: 0.
    """
    values = mask.flatten(1).double().abs().sort(dim=1).values
    n = values.shape[1]
    rank = torch.arange(1, n + 1, dtype=values.dtype, device=values.device)
    total = values.sum(dim=1)
    gini = ((2 * rank - n - 1) * values).sum(dim=1) / (n * total.clamp_min(1e-300))
    return torch.where(total > 0, gini, torch.zeros_like(gini)).float()


def complexity(mask: Tensor) -> Tensor:
    """COMP `[B]`: the entropy in nats of a mask `[B, F, T]` scaled to sum 1, `log(F T)` for an even one.

    Bhatt et al. 2020, section 3.3; as quantus' `Complexity`. An empty mask has nothing to it: 0.
    """
    values = mask.flatten(1).double().abs()
    share = values / values.sum(dim=1, keepdim=True).clamp_min(1e-300)
    return -torch.xlogy(share, share).sum(dim=1).float()


def energy_kept(magnitude: Tensor, masked: Tensor) -> Tensor:
    """Share `[B]` of the energy of magnitudes `[B, F, T]` that is left in the masked ones; 0 of silence."""
    whole = magnitude.square().sum(dim=(1, 2))
    return masked.square().sum(dim=(1, 2)) / whole.clamp_min(1e-30)


def _of(probabilities: Tensor, target: Tensor) -> Tensor:
    return probabilities.gather(1, target[:, None])[:, 0]
