from __future__ import annotations

import pytest
import torch

from pipeline.attribution.occlusion import GRID, occlusion
from tests.attribution.fakes import SMALL, RegionClassifier, magnitude
from tests.models.make import FRONT_END

FRAMES = 8 * GRID


def test_occlusion_finds_the_only_region_that_matters() -> None:
    region = RegionClassifier((40, 56), (16, 20))
    x = magnitude(1, FRAMES, amplitude=1.0)
    got = occlusion(region)(x, torch.tensor([0]))[0]
    inside = region.bins(FRAMES)
    assert got[inside].mean() > 5 * got[~inside].mean()
    frequency, frame = divmod(int(got.argmax()), FRAMES)
    assert inside[frequency, frame]
    assert got[:, :16].abs().max() == 0  # more than a patch away
    assert got[:, 80:].abs().max() == 0


def test_a_patch_that_silences_all_that_a_class_hears_is_worth_its_whole_logit() -> None:
    region = RegionClassifier((40, 48), (16, 18))  # within the cell of frames 40 to 48 and of bands 16 to 18
    x = magnitude(1, FRAMES, amplitude=1.0)
    got = occlusion(region)(x, torch.tensor([0]))[0]
    # Filters overlap: a bin heard by the region may belong to a band beside it, and stay.
    assert float(got.max()) == pytest.approx(float(region(x).logits[0, 0]), rel=0.5)


def test_another_class_has_its_evidence_elsewhere() -> None:
    region = RegionClassifier((40, 56), (16, 20))
    x = magnitude(1, FRAMES, amplitude=1.0)
    one, other = (occlusion(region)(x, torch.tensor([y]))[0] for y in (0, 1))
    assert one[:, 80:].mean() < one[:, 40:56].mean()
    assert other[:, 80:].mean() > other[:, 40:56].mean()


def test_no_more_than_150_passes_are_made_for_a_window() -> None:
    passes = []
    handle = SMALL.register_forward_hook(lambda _module, inputs, _output: passes.append(len(inputs[0])))
    occlusion(SMALL)(magnitude(1), torch.tensor([0]))
    handle.remove()
    assert sum(passes) <= 150


def test_nothing_inaudible_is_relevant_and_short_windows_have_a_map_too() -> None:
    got = occlusion(SMALL)(magnitude(1, 5), torch.tensor([0]))
    assert got.shape == (1, FRONT_END.n_freq, 5)
    assert got[:, ~SMALL.front_end.audible].abs().max() == 0
    assert got.abs().max() > 0
