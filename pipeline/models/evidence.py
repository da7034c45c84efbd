"""The decoder's input from a classifier: its representations, and the evidence in them for the class explained."""

from __future__ import annotations

import torch
from torch import Tensor

from pipeline.models.classifier import Classifier, ClassifierOutput


def decoder_channels(classifier: Classifier, evidence: int) -> tuple[int, ...]:
    """Return the channels of each output of `FirstPass.features`: doubled for the `evidence` deepest."""
    channels = classifier.representation_channels
    plain = len(channels) - evidence
    return tuple(c if depth < plain else 2 * c for depth, c in enumerate(channels))


class FirstPass:
    """A classifier's pass over linear magnitudes `[B, F, T]`, from which the evidence for any class can be taken.

    `output` is the classifier's output, detached. With `evidence` the activations stay in memory as long as this
    object, so that several classes need only one pass.
    """

    def __init__(self, classifier: Classifier, magnitude: Tensor, evidence: int, prompted: bool = False) -> None:
        self.evidence, self.prompted = evidence, prompted
        with torch.set_grad_enabled(evidence > 0):
            self._shifts = classifier.shifts(magnitude, evidence)
            passed = classifier(magnitude.detach(), self._shifts) if evidence else classifier(magnitude.detach())
        self._logits = passed.logits
        features = tuple(h.detach() for h in passed.representations)
        self.output = ClassifierOutput(passed.logits.detach(), passed.embedding.detach(), features)

    def features(self, target: Tensor) -> tuple[Tensor, ...]:
        """Return the representations with the evidence for the classes `target` `[B]`, detached, for a decoder.

        The `evidence` deepest of them, `h` `[B, C, T', M']`, are followed by C more channels: `h * d o / d h`, where
        `o = log p_y / (1 - p_y)` are the log odds of the class explained. To first order this is the contribution of
        each unit to that class (as LayerCAM, Jiang et al. 2021, but not summed over channels). The log-mel itself has
        no zero that means "nothing", so it is followed by the gradient `d o / d h` alone. All evidence is scaled to
        unit RMS per window and compressed by asinh.

        For a `prompted` decoder `o` is the class's own logit, the similarity of its prompt, which does not depend on
        the other prompts.
        """
        features = list(self.output.representations)
        if not self.evidence:
            return tuple(features)
        with torch.enable_grad():
            logits = self._logits.float()
            own = logits.gather(1, target[:, None])[:, 0]
            others = logits.scatter(1, target[:, None], -torch.inf)
            objective = own if self.prompted else own - others.logsumexp(1)
            gradients = torch.autograd.grad(objective.sum(), self._shifts, retain_graph=True)
        for depth, gradient in enumerate(gradients, len(features) - self.evidence):
            h = features[depth]
            contribution = (h * gradient if depth else gradient).float()
            scale = contribution.square().mean(dim=(1, 2, 3), keepdim=True).sqrt().clamp_min(1e-12)
            # Compressed, as a few units contribute a hundred times more than most.
            features[depth] = torch.cat([h, torch.asinh(contribution / scale).to(h.dtype)], dim=1)
        return tuple(features)
