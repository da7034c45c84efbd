"""An explainer's own decoder, as one method among the others."""

from __future__ import annotations

import torch
from torch import Tensor

from pipeline.attribution.method import Method
from pipeline.lmac.explainer import Explainer

# Fixed in advance: only baselines choose on the audio that they are scored on.
OWN_ORDERS = {"bins": "signed", "energy": "odds_root_per_energy"}


def trained(name: str, explainer: Explainer, refine: int = 0) -> Method:
    """Wrap an explainer's decoder as a named method, its masks improved for each window by `refine` gradient steps.

    Its relevance is the logits of its mask, -inf outside the classifier's mel bands, so that an order of bins has fewer
    ties than with the mask in 255ths, which is `as_written`.
    """

    def attribute(magnitude: Tensor, target: Tensor) -> Tensor:
        # A decoder may need gradients of the classifier, which a caller's inference mode would prevent.
        with torch.inference_mode(False):
            _, _, logits = explainer.passes.rank(magnitude.clone(), target.clone(), refine)
        return logits

    return Method(
        name, attribute, masks=("as_written",), rankings=("signed", "odds_per_energy", "odds_root_per_energy")
    )
