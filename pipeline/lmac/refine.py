"""Refine a mask for one window: gradient steps on the L-MAC objective, starting from the decoder's logits."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from pipeline.lmac.budget import budgeted, cut, threshold
from pipeline.lmac.masking import apply_mask
from pipeline.lmac.objective import log_complement
from pipeline.lmac.scores import energy_kept
from pipeline.models.classifier import Classifier

# The mask may grow neither in bins nor in energy; its ranking is refined at these budgets in turn: the share kept, and
# whether it is a share of energy (True) or of bins.
_BUDGETS = ((0.02, False), (0.5, True), (0.1, False), (0.77, True))
_LAMBDA_IN, _LAMBDA_OUT, _LAMBDA_SIZE = 2.0, 1.5, 50.0
_RATE = 1.0


def refine(
    classifier: Classifier, magnitude: Tensor, logits: Tensor, target: Tensor, steps: int, domain: str = "magnitude"
) -> Tensor:
    """Refine logits `[B, F, T]` by `steps` steps of Adam on the L-MAC objective (arXiv 2403.13086, eq. 3).

    `magnitude` and `logits` are `[B, F, T]`, `target` is `[B]`. Each step lowers the objective of the soft mask, which
    may grow neither in bins nor in energy, and of one binary mask, cut from its ranking at a fixed budget. A change
    per mel band and frame is learnt, as the classifier resolves no more than that. A window's result does not depend
    on the others in its batch. The classifier must be frozen.
    """
    audible = logits.isfinite()
    start = torch.where(audible, logits, torch.zeros_like(logits)).detach()
    in_reach = audible.to(start.dtype)
    front_end = classifier.front_end
    with torch.enable_grad():
        change = start.new_zeros(len(start), start.shape[2], front_end.config.n_mels).requires_grad_()
        optimizer = torch.optim.Adam([change], _RATE)
        free = torch.sigmoid(start) * in_reach
        mean, energy = free.mean(dim=(1, 2)), energy_kept(magnitude, apply_mask(magnitude, free, domain))
        for step in range(steps):
            now = start + front_end.spread(change)
            mask = torch.sigmoid(now) * in_reach
            share, by_energy = _BUDGETS[step % len(_BUDGETS)]
            of_energy = torch.full_like(mean, by_energy, dtype=torch.bool)
            rank, cost = budgeted(now.masked_fill(~audible, -torch.inf), magnitude, of_energy)
            at = threshold(rank.detach(), cost, torch.full_like(mean, share))
            masks = torch.cat([mask, cut(rank, at)])
            twice = magnitude.repeat(2, 1, 1)
            inside, outside = apply_mask(twice, masks, domain), apply_mask(twice, 1 - masks, domain)
            logits_in, logits_out = classifier(torch.cat([inside, outside])).logits.float().chunk(2)
            y = target.repeat(2)
            loss = _LAMBDA_IN * cross_entropy(logits_in, y, reduction="none") - _LAMBDA_OUT * log_complement(
                logits_out, y
            )
            grown = (mask.mean(dim=(1, 2)) - mean).clamp_min(0)
            louder = (energy_kept(magnitude, inside[: len(mask)]) - energy).clamp_min(0)
            # A sum and not a mean, so that no window's gradient depends on the batch size.
            optimizer.zero_grad()
            (loss.sum() + _LAMBDA_SIZE * (grown + louder).sum()).backward()
            optimizer.step()
        refined = (start + front_end.spread(change)).detach()
    return refined.masked_fill(~audible, -torch.inf)
