"""The objective of LMAC-ZS: a mask for a prompt (Paissan, Della Libera, Ravanelli, Subakan 2024, arXiv 2405.17615)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline.lmac.masking import apply_mask
from pipeline.models.clap.clap_classifier import ClapClassifier
from schemas.training_config import ZeroShotObjective


@dataclass(frozen=True)
class ZeroShotTerms:
    """The objective and its terms, each a scalar averaged over the batch, before its weight."""

    total: Tensor
    masked_in: Tensor
    masked_out: Tensor
    size: Tensor
    apart: Tensor


def zero_shot_objective(
    clap: ClapClassifier,
    magnitude: Tensor,
    mask: Tensor,
    prompt: Tensor,
    similarity: Tensor,
    mean_similarity: Tensor,
    max_similarity: Tensor,
    config: ZeroShotObjective,
    domain: str = "magnitude",
) -> ZeroShotTerms:
    """`lambda_in in + lambda_out out + lambda_s size + lambda_apart apart` of masks for prompts.

    `magnitude` is `[B, F, T]`; `mask` is `[B, K, F, T]`, for K prompts of each window, which are the classes `prompt`
    `[B, K]` of the CLAP. `similarity` `[B, K]` are the cosines s of prompts and windows, `mean_similarity` `[B, K]` the
    mean cosine u of a prompt with sounds in general, and `max_similarity` the highest, b. With t the prompt's text
    embedding and f the audio branch,

    - s_in = t f(M X), s_out = t f((1 - M) X);
    - in: a prompt that fits, s > u, must keep fitting, max(0, s - s_in); others must not start to, max(0, s_in - u);
    - out: the rest must be no nearer to the prompt than sounds in general are, max(0, s_out - u);
    - size: the mean of M beyond `target_mean` times how well the prompt fits, (s - u) / (b - u) within [0, 1]; for a
      prompt that does not fit it is the only term that a mask changes, which empties it;
    - apart: the mean of M_i M_k over the pairs of prompts of a window, times 1 - cos(t_i, t_k): masks of unlike prompts
      are unlike.

    We could read the paper's abstract and descriptions of its method by others, but not its equations or code. From
    these: a decoder M(t, h) takes the prompt's embedding together with the representations, and the similarity
    t_i f(M(t_i, h_j) X_j) is to reproduce t_i f(X_j), for matching and other pairs of a batch. The hinges at u, and
    the forms of the masked-out side and of `apart`, are ours.
    """
    n, k = prompt.shape
    flat = mask.flatten(0, 1)
    whole = magnitude.repeat_interleave(k, dim=0)
    heard = clap(torch.cat([apply_mask(whole, flat, domain), apply_mask(whole, 1 - flat, domain)])).embedding.float()
    text = clap.prompt_embeddings(prompt.flatten())
    s_in, s_out = ((part * text).sum(1).reshape(n, k) for part in heard.chunk(2))
    masked_in = torch.where(similarity > mean_similarity, similarity - s_in, s_in - mean_similarity).clamp_min(0).mean()
    masked_out = (s_out - mean_similarity).clamp_min(0).mean()
    span = (max_similarity - mean_similarity).clamp_min(1e-6)
    fits = ((similarity - mean_similarity) / span).clamp(0, 1)
    size = (mask.mean(dim=(2, 3)) - config.target_mean * fits).clamp_min(0).mean()
    apart = _shared(mask, text.reshape(n, k, -1))
    total = config.lambda_in * masked_in + config.lambda_out * masked_out + config.lambda_s * size
    return ZeroShotTerms(total + config.lambda_apart * apart, masked_in, masked_out, size, apart)


def _shared(mask: Tensor, text: Tensor) -> Tensor:
    """Return the mean overlap of masks over pairs of different prompts, weighted by how much the prompts differ."""
    n, k = mask.shape[:2]
    if k < 2:
        return mask.new_zeros(())
    flat = mask.flatten(2)
    both = flat @ flat.transpose(1, 2) / flat.shape[2]
    unlike = (1 - text @ text.transpose(1, 2)).clamp_min(0)
    return (both * unlike * ~torch.eye(k, dtype=torch.bool, device=mask.device)).sum() / (n * k * (k - 1))
