"""The classifier's output for binary masks of equal size: insertion, deletion, and their areas."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from pipeline.evaluation.batch import WindowBatch, class_probabilities
from pipeline.evaluation.sizes import bins_within, energy_within, first_bins, place_in_order
from pipeline.lmac.scores import faithfulness
from pipeline.models.classifier import Classifier

AREA_FROM, AREA_TO = 0.01, 0.5
SCORES = ("p", "p_in", "p_out", "ad", "ff", "fid_in")


@torch.no_grad()
def curve_scores(
    classifier: Classifier, batch: WindowBatch, rank: Tensor, budgets: Mapping[str, Sequence[float]], seed: int
) -> list[tuple[str, float, dict[str, Tensor]]]:
    """Compute, for each budget of each given kind (`bins`, `energy`), the shares kept of both, and scores, `[B]` each.

    The mask keeps the first bins of `rank` `[B, F, T]` (highest first) and multiplies the magnitude; insertion is
    `p_in` on what it keeps, deletion `p_out` on the rest (Petsiuk et al. 2018, arXiv 1806.07421).
    """
    energy = batch.magnitude.square().flatten(1)
    # Bins outside the classifier's mel bands come last for every method. A decoder knows them; an attribution gives
    # them 0, more than evidence against the class, and would spend its energy budget on rumble.
    audible = classifier.front_end.audible[:, None]
    place = place_in_order(rank.masked_fill(~audible, -torch.inf).flatten(1), seed)
    counts = {
        by: bins_within(place, shares) if by == "bins" else energy_within(place, energy, shares)
        for by, shares in budgets.items()
    }
    points = [(by, budget, counts[by][:, k]) for by in counts for k, budget in enumerate(budgets[by])]

    def both_sides() -> Iterator[Tensor]:
        for _, _, count in points:
            mask = first_bins(place, count).view_as(batch.magnitude)
            yield batch.magnitude * mask
            yield batch.magnitude * ~mask

    said = class_probabilities(classifier, both_sides()).unflatten(0, (-1, 2))
    whole = energy.double().sum(dim=1).clamp_min(1e-30)
    rows = []
    for (by, budget, count), (inside, outside) in zip(points, said, strict=True):
        scores = faithfulness(batch.full, inside, outside, batch.target)
        kept = (energy.double() * first_bins(place, count)).sum(dim=1)
        shares = {"bins_kept": count / place.shape[1], "energy_kept": kept / whole}
        rows.append((by, budget, {**shares, **{name: scores[name] for name in SCORES}}))
    return rows


def area(values: np.ndarray, budgets: Sequence[float]) -> np.ndarray:
    """Compute the mean of a curve `[..., K]` over the logarithm of the share kept, from 1% to 50%, by trapezoids.

    A flat curve's area is its height, whatever the budgets. Raises ValueError unless both 1% and 50% are budgets.
    """
    share = np.asarray(budgets, dtype=np.float64)
    inside = (share >= AREA_FROM) & (share <= AREA_TO)
    if AREA_FROM not in share or AREA_TO not in share:
        raise ValueError(f"an area from {AREA_FROM} to {AREA_TO} needs both among the budgets, got {tuple(budgets)}")
    x, y = np.log(share[inside]), np.asarray(values, dtype=np.float64)[..., inside]
    return ((y[..., 1:] + y[..., :-1]) / 2 * np.diff(x)).sum(axis=-1) / (x[-1] - x[0])
