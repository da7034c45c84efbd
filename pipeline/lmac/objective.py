"""The L-MAC objective (Paissan, Ravanelli, Subakan 2024, arXiv 2403.13086, equation 3)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy, cross_entropy

from pipeline.lmac.masking import apply_mask
from pipeline.lmac.scores import energy_kept
from pipeline.models.classifier import Classifier
from schemas.training_config import GuidanceConfig, ObjectiveConfig


@dataclass(frozen=True)
class ObjectiveTerms:
    """The objective and its terms, each a scalar averaged over the batch, before its weight."""

    total: Tensor
    masked_in: Tensor
    masked_out: Tensor
    size: Tensor
    energy: Tensor
    guidance: Tensor


def objective(
    classifier: Classifier,
    magnitude: Tensor,
    mask: Tensor,
    target: Tensor,
    config: ObjectiveConfig,
    domain: str = "magnitude",
    sized: Tensor | None = None,
) -> ObjectiveTerms:
    """`lambda_in CE(f(M X), y) + lambda_out out(f((1 - M) X), y) + lambda_s size(M) + lambda_e energy(M X)`.

    `magnitude` and `mask` are `[B, F, T]`; `target` `[B]`, integers, is the classifier's own decision `argmax f(X)`.
    `sized` (bool `[B]`, on the CPU, by default all True) says which masks chose their own size: the size terms count
    only those, as a mask cut at a budget has the size it was given. In the paper's equation 3 `out` is `-CE`, `size` is
    `mean |M|`, and there is no energy term; `config` chooses the forms.
    """
    masked_in = apply_mask(magnitude, mask, domain)
    masked_out = apply_mask(magnitude, 1 - mask, domain)
    logits = classifier(torch.cat([masked_in, masked_out])).logits.float()
    logits_in, logits_out = logits.chunk(2)
    loss_in = softened(-cross_entropy(logits_in, target, reduction="none"), config.softness).mean()
    if config.masked_out == "cross_entropy":
        loss_out = -cross_entropy(logits_out, target)
    else:
        loss_out = softened(log_complement(logits_out, target), config.softness).mean()
    # Counted on the CPU, so as not to wait for a GPU.
    own = (torch.ones(len(mask), dtype=torch.bool) if sized is None else sized).nonzero()[:, 0].to(mask.device)
    zero = mask.new_zeros(())
    size = _size(mask[own], config) if len(own) else zero
    energy = zero
    if config.lambda_e and len(own):
        energy = (energy_kept(magnitude[own], masked_in[own]).mean() - config.target_energy).clamp_min(0)
    guidance = zero
    if config.guidance is not None and len(own):
        # A mask cut at a budget is 0 or 1, so its cross-entropy would dominate the loss.
        audible = classifier.front_end.audible_bins
        whole, free, kept = (part[own][:, audible] for part in (magnitude, mask, masked_in))
        guidance = _guidance(whole, free, kept, config.guidance)
    total = config.lambda_in * loss_in + config.lambda_out * loss_out + config.lambda_s * size
    total = total + config.lambda_e * energy + (config.guidance.weight * guidance if config.guidance else 0.0)
    return ObjectiveTerms(total, loss_in, loss_out, size, energy, guidance)


def _size(mask: Tensor, config: ObjectiveConfig) -> Tensor:
    if config.size == "sum":
        return mask.mean(dim=(1, 2)).sum()
    mean = mask.mean()
    return mean if config.size == "mean" else (mean - config.target_mean).clamp_min(0)


def _guidance(magnitude: Tensor, mask: Tensor, masked_in: Tensor, config: GuidanceConfig) -> Tensor:
    """The fine-tuning term of L-MAC FT (section 3.3): pulls masks that already resemble the sound to its loud bins.

    Binary cross-entropy of the mask with the spectrogram binarised at a share of its maximum, for the windows whose
    masked-in spectrogram correlates with the whole one above a limit; both use log(1 + |X|). The inputs hold only the
    audible bins, `[B, F', T]`: elsewhere the mask is 0 whatever the decoder does.
    """
    whole, part = magnitude.log1p().flatten(1), masked_in.log1p().flatten(1)
    alike = torch.nn.functional.cosine_similarity(
        whole - whole.mean(1, keepdim=True), part - part.mean(1, keepdim=True), dim=1
    )
    loud = (whole > config.threshold * whole.amax(dim=1, keepdim=True)).to(mask.dtype)
    # A GPU refuses this loss under autocast.
    with torch.autocast(mask.device.type, enabled=False):
        loss = binary_cross_entropy(mask.flatten(1).clamp(0, 1), loud, reduction="none").mean(dim=1)
    return (loss * (alike.detach() > config.correlation)).mean()


def softened(log_p: Tensor, softness: float) -> Tensor:
    """`(1 - p^q) / q` of log-probabilities, with q the softness: `-log p` at 0, `1 - p` at 1.

    The generalised cross-entropy (Zhang and Sabuncu 2018, arXiv 1805.07836, eq. 6): the larger q, the less weight
    for windows whose p is far from the goal whatever the mask.

    >>> log_p = torch.tensor(0.25).log()
    >>> [round(float(softened(log_p, q)), 3) for q in (0, 0.5, 1)]
    [1.386, 1.0, 0.75]
    """
    return -log_p if softness == 0 else -torch.expm1(softness * log_p) / softness


def log_complement(logits: Tensor, target: Tensor) -> Tensor:
    """`log(1 - p_y)` `[B]` from logits `[B, n_classes]`, without cancellation: the sum over all classes but y.

    >>> float(log_complement(torch.tensor([[100.0, 0.0]]), torch.tensor([0])))
    -100.0
    """
    others = logits.scatter(1, target[:, None], -torch.inf)
    return others.logsumexp(dim=1) - logits.logsumexp(dim=1)
