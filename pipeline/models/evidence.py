"""What a decoder hears of a classifier: its representations, and at depth what speaks for the class explained."""

from __future__ import annotations

import torch
from torch import Tensor

from pipeline.models.classifier import Classifier, ClassifierOutput


def decoder_channels(classifier: Classifier, evidence: int) -> tuple[int, ...]:
    """Channels of each representation as `hear` returns them: twice as many at the `evidence` deepest."""
    channels = classifier.representation_channels
    plain = len(channels) - evidence
    return tuple(c if depth < plain else 2 * c for depth, c in enumerate(channels))


def hear(
    classifier: Classifier, magnitude: Tensor, target: Tensor | None, evidence: int, prompted: bool = False
) -> tuple[ClassifierOutput, Tensor, tuple[Tensor, ...]]:
    """Classify linear magnitudes `[B, F, T]` and prepare what the decoder takes, all of it without gradients.

    Returns the classifier's output, the classes explained `[B]` (`target`, or the classifier's own decisions), and
    its representations. The `evidence` deepest of them, `h` `[B, C, T', M']`, carry `h * d o / d h` as C more channels,
    where `o = log p_y / (1 - p_y)` are the log odds of the class explained: what each unit there contributes to this
    class rather than another, to first order (as LayerCAM, Jiang et al. 2021, but not summed over channels). Of the
    log-mel itself, which has no zero that means nothing, it is the slope `d o / d h` alone: what a little more of that
    band would do. All of it is scaled to unit RMS per window, and compressed by asinh. Of a `prompted` decoder `o` is
    the logit of the class itself, its prompt's similarity: what other classes there are must not matter to it.
    """
    with torch.set_grad_enabled(evidence > 0):
        # A leaf that wants a gradient makes autograd keep the path from every representation to the logits.
        output = classifier(magnitude.detach().requires_grad_(evidence > 0))
        y = output.logits.argmax(1) if target is None else target
        if not evidence:
            return output, y, output.representations
        logits = output.logits.float()
        own = logits.gather(1, y[:, None])[:, 0]
        explained = own if prompted else own - logits.scatter(1, y[:, None], -torch.inf).logsumexp(1)
        deep = output.representations[-evidence:]
        slopes = torch.autograd.grad(explained.sum(), deep)
    heard = [h.detach() for h in output.representations]
    for depth, (h, slope) in enumerate(zip(deep, slopes, strict=True), len(heard) - evidence):
        contribution = (h.detach() * slope if depth else slope).float()
        scale = contribution.square().mean(dim=(1, 2, 3), keepdim=True).sqrt().clamp_min(1e-12)
        # Compressed, as a few units contribute a hundred times more than most.
        heard[depth] = torch.cat([h.detach(), torch.asinh(contribution / scale).to(h.dtype)], dim=1)
    plain = ClassifierOutput(
        output.logits.detach(), output.embedding.detach(), tuple(h.detach() for h in output.representations)
    )
    return plain, y, tuple(heard)
