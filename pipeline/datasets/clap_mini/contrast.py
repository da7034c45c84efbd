"""The contrastive loss, in which a caption may hold for several mixtures of the batch."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import cross_entropy


def soft_contrastive(per_audio: Tensor, per_text: Tensor, held: Tensor) -> Tensor:
    """Mean of the two cross-entropies of scaled similarities, `[B, B]` per audio and per text, to soft targets.

    `held` `[B texts, B audio]` is 1 where a caption holds for a mixture. A caption's target is spread evenly over the
    mixtures that it holds for, a mixture's over the captions that hold for it. With the identity this is the loss of
    CLAP (Wu et al. 2023, arXiv 2211.06687, equation 2).

    Raises ValueError when a caption holds for no mixture of the batch, or a mixture has no caption that holds.
    """
    if not (held.sum(dim=0) > 0).all() or not (held.sum(dim=1) > 0).all():
        raise ValueError("each caption must hold for a mixture of the batch, and for each mixture a caption must hold")
    of_text = held / held.sum(dim=1, keepdim=True)
    of_audio = held.T / held.T.sum(dim=1, keepdim=True)
    return 0.5 * (cross_entropy(per_audio.float(), of_audio) + cross_entropy(per_text.float(), of_text))


def hit_rate(cosines: Tensor, held: Tensor) -> Tensor:
    """Share `[]` of mixtures whose nearest caption holds; cosines `[B audio, B texts]`, held `[B texts, B audio]`."""
    return held.T.gather(1, cosines.detach().argmax(dim=1, keepdim=True)).mean()
