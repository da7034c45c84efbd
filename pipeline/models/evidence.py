"""What a decoder takes from a classifier: its representations, and the evidence in them for the class explained."""

from __future__ import annotations

import torch
from torch import Tensor

from pipeline.models.classifier import Classifier, ClassifierOutput


def decoder_channels(classifier: Classifier, evidence: int) -> tuple[int, ...]:
    """Channels of each representation as `classify_with_evidence` returns them: doubled for the `evidence` deepest."""
    channels = classifier.representation_channels
    plain = len(channels) - evidence
    return tuple(c if depth < plain else 2 * c for depth, c in enumerate(channels))


def classify_with_evidence(
    classifier: Classifier, magnitude: Tensor, target: Tensor | None, evidence: int, prompted: bool = False
) -> tuple[ClassifierOutput, Tensor, tuple[Tensor, ...]]:
    """Classify linear magnitudes `[B, F, T]`, and return what the decoder takes; all of it is detached.

    Returns the classifier's output, the classes explained `[B]` (`target`, or the classifier's own decisions), and its
    representations. The `evidence` deepest of them, `h` `[B, C, T', M']`, are followed by C more channels:
    `h * d o / d h`, where `o = log p_y / (1 - p_y)` are the log odds of the class explained. To first order this is
    what each unit contributes to that class (as LayerCAM, Jiang et al. 2021, but not summed over channels). The log-mel
    itself has no zero that means "nothing", so it is followed by the gradient `d o / d h` alone. All evidence is
    scaled to unit RMS per window and compressed by asinh.

    For a `prompted` decoder `o` is the class's own logit, the similarity of its prompt, which does not depend on the
    other prompts.
    """
    with torch.set_grad_enabled(evidence > 0):
        # A leaf that requires a gradient makes autograd keep the path from every representation to the logits.
        output = classifier(magnitude.detach().requires_grad_(evidence > 0))
        y = output.logits.argmax(1) if target is None else target
        if not evidence:
            return output, y, output.representations
        logits = output.logits.float()
        own = logits.gather(1, y[:, None])[:, 0]
        objective = own if prompted else own - logits.scatter(1, y[:, None], -torch.inf).logsumexp(1)
        deep = output.representations[-evidence:]
        gradients = torch.autograd.grad(objective.sum(), deep)
    features = [h.detach() for h in output.representations]
    plain = ClassifierOutput(output.logits.detach(), output.embedding.detach(), tuple(features))
    for depth, (h, gradient) in enumerate(zip(deep, gradients, strict=True), len(features) - evidence):
        contribution = (h.detach() * gradient if depth else gradient).float()
        scale = contribution.square().mean(dim=(1, 2, 3), keepdim=True).sqrt().clamp_min(1e-12)
        # Compressed, as a few units contribute a hundred times more than most.
        features[depth] = torch.cat([h.detach(), torch.asinh(contribution / scale).to(h.dtype)], dim=1)
    return plain, y, tuple(features)
