"""How far an explanation can be trusted: the scores of the L-MAC paper (arXiv 2403.13086, section 4.1), per window.

Runs, evaluation and training all score masks with `score_masks` and `score_audio`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from pipeline.lmac.masking import apply_mask, mask_of
from pipeline.models.classifier import Classifier

_COUNTED_AT_ONCE = 2048
# The scores that are also computed for the written audio.
AUDIO = ("p_in", "p_out", "ai", "ai_001", "ad", "ad_double_softmax", "ag", "ff", "fid_in", "keep")


def score_masks(
    classifier: Classifier, magnitude: Tensor, levels: Tensor, full: Tensor, target: Tensor, domain: str
) -> tuple[dict[str, Tensor], Tensor]:
    """Score masks in 255ths (uint8 `[B, F, T]`) on magnitudes `[B, F, T]`; return scores and masked magnitudes.

    `full` `[B, C]` are the class probabilities of the whole input, `target` `[B]` the class explained, `domain` what a
    mask multiplies (see `apply_mask`). Scores `[B]` have the names of `faithfulness`, and `sps`, `comp`, `mask_mean`
    and `energy_kept`. The second result holds the masked-in, then the masked-out magnitudes, `[2 B, F, T]`.
    """
    kept = mask_of(levels)
    masked = torch.cat([apply_mask(magnitude, share, domain) for share in (kept, 1 - kept)])
    p_in, p_out = classifier(masked).logits.softmax(1).chunk(2)
    scores = faithfulness(full, p_in, p_out, target)
    scores |= concentration(levels)
    scores["mask_mean"] = kept.mean(dim=(1, 2))
    scores["energy_kept"] = energy_kept(magnitude, masked[: len(magnitude)])
    return scores, masked


def score_audio(classifier: Classifier, sound: Tensor, full: Tensor, target: Tensor) -> dict[str, Tensor]:
    """Classify listenables `[2 B, n]`, masked-in, then masked-out, and return scores `[B]` named `p_in_audio` etc.

    `full` `[B, C]` and `target` `[B]` as in `score_masks`.
    """
    again_in, again_out = classifier(classifier.front_end.stft(sound).abs()).logits.softmax(1).chunk(2)
    scores = faithfulness(full, again_in, again_out, target)
    return {f"{name}_audio": scores[name] for name in AUDIO}


def faithfulness(full: Tensor, masked_in: Tensor, masked_out: Tensor, target: Tensor) -> dict[str, Tensor]:
    """Scores `[B]` from class probabilities `[B, C]` of the full, masked-in and masked-out input.

    With p, p_in, p_out the probability of class `target` `[B]`:

    - `ai`, average increase: 100 if p_in > p, else 0;
    - `ai_001`: the same for an increase of more than 0.01, as rounding alone gives an all-ones mask one of 1e-7;
    - `ad`, average drop: `100 max(0, p - p_in) / p`;
    - `ag`, average gain: `100 max(0, p_in - p) / (1 - p)`;
    - `ff`, faithfulness: `p - p_out`;
    - `fid_in`, input fidelity: 1 if the masked-in input is classified as `target`, else 0 (where `target` was not the
      decision on the full input, it says whether the mask makes it the decision);
    - `keep`: 1 if the masked-out input is still classified as `target`, else 0;
    - `ad_double_softmax`: the drop with softmax applied twice, as in published tables, and comparable only with
      those: with 50 classes or more, a drop from 0.99 to 0 has an `ad` of 100 but reads 62 here.

    >>> scores = faithfulness(*torch.tensor([[[0.8, 0.2]], [[0.9, 0.1]], [[0.3, 0.7]]]), torch.tensor([0]))
    >>> {name: round(float(scores[name]), 2) for name in ("ai", "ad", "ag", "ff", "fid_in", "keep")}
    {'ai': 100.0, 'ad': 0.0, 'ag': 50.0, 'ff': 0.5, 'fid_in': 1.0, 'keep': 0.0}
    """
    p, p_in, p_out = (_at(probabilities, target) for probabilities in (full, masked_in, masked_out))
    twice, twice_in = _at(full.softmax(1), target), _at(masked_in.softmax(1), target)
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


def concentration(levels: Tensor) -> dict[str, Tensor]:
    """Return how few bins hold masks `[B, F, T]` in 255ths (uint8), as scores `[B]`.

    - `sps`, sparseness: the Gini index of the mask, 0 if uniform or empty, near 1 for a single bin (Chalasani et al.
      2020, arXiv 1810.06583, section 3; as quantus' `Sparseness`);
    - `comp`, complexity: the entropy in nats of the mask normalised to sum 1, `log(F T)` if uniform, 0 if empty (Bhatt
      et al. 2020, arXiv 2005.00631, section 3.3; as quantus' `Complexity`).

    >>> one_bin = torch.zeros(1, 10, 10, dtype=torch.uint8)
    >>> one_bin[0, 3, 4] = 255
    >>> round(float(concentration(one_bin)["sps"]), 2)
    0.99
    """
    count = _histogram(levels)
    return {"sps": _gini(count), "comp": _entropy(count)}


def _gini(count: Tensor) -> Tensor:
    value = torch.arange(256, dtype=count.dtype, device=count.device)
    n, total = count.sum(dim=1), (count * value).sum(dim=1)
    # Bins of one level have the ranks after all lower levels: `before + 1` to `before + count`.
    before = count.cumsum(dim=1) - count
    ranks = count * before + count * (count + 1) / 2
    weighted = ((2 * ranks - (n[:, None] + 1) * count) * value).sum(dim=1)
    return (weighted / (n * total.clamp_min(1))).float()


def _entropy(count: Tensor) -> Tensor:
    value = torch.arange(256, dtype=count.dtype, device=count.device)
    share = value / (count * value).sum(dim=1, keepdim=True).clamp_min(1)
    return -(count * torch.xlogy(share, share)).sum(dim=1).float()


def _histogram(levels: Tensor) -> Tensor:
    """Count how often each of the 256 levels occurs in each mask, `[B, 256]`."""
    flat = levels.flatten(1)
    if not flat.is_cuda:
        first = 256 * torch.arange(len(flat), dtype=torch.int32)[:, None]
        return (
            torch.bincount((flat.to(torch.int32) + first).flatten(), minlength=256 * len(flat)).view(-1, 256).double()
        )
    # bincount on a GPU waits for all work queued before, and most bins of a mask have the same level, so that all
    # threads would contend for one counter. Instead the high and the low four bits of each level become one-hot
    # vectors: their outer product, summed over the bins, is the histogram. All of its numbers are exact integers.
    missing = -flat.shape[1] % _COUNTED_AT_ONCE
    padded = torch.nn.functional.pad(flat, (0, missing)).view(-1, _COUNTED_AT_ONCE)
    half = torch.arange(16, device=flat.device, dtype=torch.uint8)
    high = ((padded >> 4)[:, None, :] == half[:, None]).to(torch.bfloat16)
    low = ((padded & 15)[:, :, None] == half).to(torch.bfloat16)
    count = torch.bmm(high, low, out_dtype=torch.float32).view(len(flat), -1, 256).sum(dim=1, dtype=torch.float64)
    count[:, 0] -= missing
    return count


def energy_kept(magnitude: Tensor, masked: Tensor) -> Tensor:
    """Return the share `[B]` of the energy of magnitudes `[B, F, T]` that the masked ones keep; 0 for silence."""
    whole = magnitude.square().sum(dim=(1, 2))
    return masked.square().sum(dim=(1, 2)) / whole.clamp_min(1e-30)


def _at(probabilities: Tensor, target: Tensor) -> Tensor:
    return probabilities.gather(1, target[:, None])[:, 0]
