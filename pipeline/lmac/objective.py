"""The L-MAC objective (Paissan, Ravanelli, Subakan 2024, arXiv 2403.13086, equation 3)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from pipeline.models.classifier import Classifier
from schemas.training_config import ObjectiveConfig


def apply_mask(magnitude: Tensor, mask: Tensor, domain: str) -> Tensor:
    """Masked linear magnitude `[B, F, T]`: `M |X|`, or `expm1(M log1p |X|)` in the `log1p` domain."""
    if domain == "magnitude":
        return mask * magnitude
    if domain == "log1p":
        return torch.expm1(mask * torch.log1p(magnitude))
    raise ValueError(f"mask_domain must be 'magnitude' or 'log1p', got {domain!r}")


@dataclass(frozen=True)
class ObjectiveTerms:
    """The objective and its terms, each a scalar averaged over the batch, before its weight."""

    total: Tensor
    masked_in: Tensor
    masked_out: Tensor
    size: Tensor


def objective(
    classifier: Classifier,
    magnitude: Tensor,
    mask: Tensor,
    target: Tensor,
    config: ObjectiveConfig,
    domain: str = "magnitude",
) -> ObjectiveTerms:
    """`lambda_in CE(f(M X), y) + lambda_out out(f((1 - M) X), y) + lambda_s size(M)`.

    magnitude, mask `[B, F, T]`; target `[B]` long, the classifier's own decision `argmax f(X)`. In the
    paper's form `out` is `-CE` and `size` is `mean |M|`, a mean over bins and batch, so that its weight
    does not depend on the batch size.
    """
    masked_in = apply_mask(magnitude, mask, domain)
    masked_out = apply_mask(magnitude, 1 - mask, domain)
    logits = classifier(torch.cat([masked_in, masked_out])).logits.float()
    logits_in, logits_out = logits.chunk(2)
    loss_in = cross_entropy(logits_in, target)
    if config.masked_out == "cross_entropy":
        loss_out = -cross_entropy(logits_out, target)
    else:
        loss_out = -log_complement(logits_out, target).mean()
    size = mask.mean() if config.size == "mean" else (mask.mean() - config.target_mean).clamp_min(0)
    total = config.lambda_in * loss_in + config.lambda_out * loss_out + config.lambda_s * size
    return ObjectiveTerms(total, loss_in, loss_out, size)


def log_complement(logits: Tensor, target: Tensor) -> Tensor:
    """`log(1 - p_y)` `[B]` of logits `[B, n_classes]` without cancellation: all classes but y, over all."""
    others = logits.scatter(1, target[:, None], -torch.inf)
    return others.logsumexp(dim=1) - logits.logsumexp(dim=1)
