"""SPS and COMP of masks against quantus, on masks in 255ths."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from pipeline.lmac.scores import concentration

quantus = pytest.importorskip("quantus", reason="quantus comes with the extra [test]")

SHAPE = (40, 50)


def single_bin() -> Tensor:
    mask = torch.zeros(SHAPE, dtype=torch.uint8)
    mask[3, 4] = 200
    return mask


def uniform() -> Tensor:
    return torch.randint(0, 256, SHAPE, generator=torch.Generator().manual_seed(0)).to(torch.uint8)


MASKS = {
    "even": torch.full(SHAPE, 77, dtype=torch.uint8),
    "all ones": torch.full(SHAPE, 255, dtype=torch.uint8),
    "single bin": single_bin(),
    "random": uniform(),
    "random, most of it empty": uniform() * (torch.arange(SHAPE[1]) < 5),
    "binary": (uniform() > 200).to(torch.uint8) * 255,
}


def quantus_says(metric: str, masks: Tensor) -> list[float]:
    # In 255ths, where the small number that quantus adds for stability weighs least.
    values = masks.numpy().astype(np.float64)[:, None]
    scorer = getattr(quantus, metric)(disable_warnings=True)
    return [float(score) for score in scorer.evaluate_batch(x_batch=values.copy(), a_batch=values.copy())]


@pytest.mark.parametrize("name", MASKS)
def test_sps_is_the_sparseness_of_quantus(name: str) -> None:
    masks = MASKS[name][None]
    assert concentration(masks)["sps"].tolist() == pytest.approx(quantus_says("Sparseness", masks), abs=1e-6)


@pytest.mark.parametrize("name", MASKS)
def test_comp_is_the_complexity_of_quantus(name: str) -> None:
    masks = MASKS[name][None]
    assert concentration(masks)["comp"].tolist() == pytest.approx(quantus_says("Complexity", masks), abs=1e-6)


def test_a_batch_is_scored_mask_by_mask_as_quantus_does() -> None:
    masks = torch.stack(list(MASKS.values()))
    assert concentration(masks)["sps"].tolist() == pytest.approx(quantus_says("Sparseness", masks), abs=1e-6)
    assert concentration(masks)["comp"].tolist() == pytest.approx(quantus_says("Complexity", masks), abs=1e-6)
