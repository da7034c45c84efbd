from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from pipeline.attribution.relevance import is_per_energy, ranking, soft_mask
from tests.models.make import noise

EVERY = ["relu_max", "relu_p99", "relu_p50", "abs_max", "abs_p99", "top10", "top20", "abs_top10"]
EVERY += ["as_written", "ones", "half"]
OF_POSITIVE = ["relu_max", "relu_p99", "relu_p50"]


def relevance(seed: int = 0, scale: float = 1.0) -> Tensor:
    return noise(2, 20, 30, seed=seed, amplitude=scale)


def mask_of(relevance: Tensor, how: str) -> Tensor:
    return soft_mask(relevance, torch.ones_like(relevance), how)


@pytest.mark.parametrize("how", EVERY)
@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**31), exponent=st.integers(-30, 30))
def test_every_mask_lies_within_0_and_1_whatever_the_scale(how: str, seed: int, exponent: int) -> None:
    mask = mask_of(relevance(seed, 10.0**exponent), how)
    assert mask.isfinite().all()
    assert mask.min() >= 0
    assert mask.max() <= 1


@pytest.mark.parametrize("how", [*OF_POSITIVE, "top10", "as_written"])
@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**31))
def test_more_relevance_never_has_less_mask(how: str, seed: int) -> None:
    some = relevance(seed)
    for row, mask in zip(some.flatten(1), mask_of(some, how).flatten(1), strict=True):
        assert (mask[row.argsort()].diff() >= 0).all()


@pytest.mark.parametrize("how", OF_POSITIVE)
def test_the_positive_part_keeps_nothing_that_speaks_against_the_class(how: str) -> None:
    some = relevance()
    mask = mask_of(some, how)
    assert mask[some <= 0].max() == 0
    assert mask[some > 0].min() > 0


@pytest.mark.parametrize("how", ["abs_max", "abs_p99", "abs_top10"])
def test_the_absolute_value_does_not_know_the_sign(how: str) -> None:
    assert torch.equal(mask_of(relevance(), how), mask_of(-relevance(), how))


def test_a_percentile_leaves_its_share_of_bins_at_one() -> None:
    some = torch.arange(1.0, 1001.0)[torch.randperm(1000, generator=torch.Generator().manual_seed(0))].view(1, 20, 50)
    mask = mask_of(some, "relu_p90")
    assert int((mask == 1).sum()) == 101  # 900 and all above
    assert mask[some == 450] == pytest.approx(0.5)


def test_where_few_bins_are_positive_the_maximum_stands_in_for_the_percentile() -> None:
    some = torch.zeros(1, 20, 50)
    some[0, 3, 4], some[0, 5, 6] = 1.0, 4.0
    mask = mask_of(some, "relu_p99")
    assert (mask[0, 3, 4], mask[0, 5, 6], mask.sum()) == (0.25, 1.0, 1.25)


@pytest.mark.parametrize("how", ["relu_max", "relu_p99", "abs_max", "abs_p99", "top10", "abs_top10"])
def test_no_relevance_is_an_empty_mask(how: str) -> None:
    some = torch.stack([torch.zeros(20, 30), noise(20, 30)])
    mask = mask_of(some, how)
    assert mask[0].max() == 0
    assert mask[1].max() == 1


@pytest.mark.parametrize(("how", "share"), [("top10", 0.1), ("top20", 0.2), ("abs_top20", 0.2)])
@pytest.mark.parametrize("levels", [1, 3, 1000])
def test_the_top_holds_exactly_its_share_of_bins_however_many_are_equal(how: str, share: float, levels: int) -> None:
    some = torch.randint(1, levels + 1, (3, 20, 30), generator=torch.Generator().manual_seed(0)).float()
    mask = mask_of(some, how)
    assert set(mask.unique().tolist()) == {0.0, 1.0}
    assert mask.sum(dim=(1, 2)).tolist() == [share * 600] * 3


def test_ties_at_the_top_do_not_favour_a_place() -> None:
    mask = mask_of(torch.ones(1, 100, 100), "top10")[0]
    for half in (mask[:50], mask[50:], mask[:, :50], mask[:, 50:]):
        assert 400 < float(half.sum()) < 600  # 500 expected, 3 standard deviations are 60


@pytest.mark.parametrize("how", EVERY)
def test_a_window_has_the_same_mask_alone_and_in_a_batch(how: str) -> None:
    some = relevance()
    some[1] *= 1000
    alone = torch.cat([mask_of(row[None], how) for row in some])
    assert torch.equal(alone, mask_of(some, how))


@pytest.mark.parametrize("how", ["relu_max", "relu_p99", "abs_max", "abs_p99", "top10", "abs_top10"])
def test_the_scale_of_a_relevance_does_not_matter(how: str) -> None:
    some = relevance()
    torch.testing.assert_close(mask_of(some * 2**20, how), mask_of(some, how))


def test_logits_are_masked_as_they_are_written_in_255ths() -> None:
    logits = torch.tensor([[[-torch.inf, -3.0, 0.0, 3.0, torch.inf]]])
    levels = mask_of(logits, "as_written") * 255
    assert levels.round().tolist() == [[[0, 12, 128, 243, 255]]]
    torch.testing.assert_close(levels, levels.round())


def test_constants_ask_for_no_relevance() -> None:
    nothing = torch.zeros(1, 2, 3)
    assert (mask_of(nothing, "ones") == 1).all()
    assert (mask_of(nothing, "half") == 0.5).all()


@pytest.mark.parametrize("how", ["", "relu", "relu_p0", "relu_p100", "top0", "top100", "sigmoid"])
def test_an_unknown_mask_is_refused_with_the_known_ones(how: str) -> None:
    with pytest.raises(ValueError, match=r"choose one of .*topN"):
        mask_of(relevance(), how)


def test_a_relevance_that_is_no_number_is_refused() -> None:
    some = relevance()
    some[0, 0, 0] = torch.nan
    with pytest.raises(ValueError, match="NaN"):
        mask_of(some, "relu_p99")


def test_a_relevance_of_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\(2, 20, 30\) must have .* \(2, 30, 20\)"):
        soft_mask(relevance(), torch.ones(2, 30, 20), "top10")


def test_rankings_are_signed_or_absolute_and_what_is_never_kept_stays_last() -> None:
    some, sound = torch.tensor([[[-3.0, 1.0, -torch.inf, 2.0]]]), torch.ones(1, 1, 4)
    assert ranking(some, sound, "signed").argsort(descending=True).tolist() == [[[3, 1, 0, 2]]]
    assert ranking(some, sound, "absolute").argsort(descending=True).tolist() == [[[0, 3, 1, 2]]]


@pytest.mark.parametrize(
    ("how", "order"),
    [("signed_per_energy", [1, 3, 0, 2]), ("absolute_per_energy", [0, 1, 3, 2]), ("odds_per_energy", [1, 0, 3, 2])],
)
def test_per_energy_what_pays_most_for_what_it_costs_comes_first(how: str, order: list[int]) -> None:
    some, sound = torch.tensor([[[-0.3, 0.1, -torch.inf, 2.0]]]), torch.tensor([[[0.1, 0.1, 0.1, 1.0]]])
    assert ranking(some, sound, how).argsort(descending=True).tolist() == [[order]]
    assert is_per_energy(how)


def test_the_root_lets_what_is_a_little_less_relevant_and_far_quieter_come_first() -> None:
    sound = torch.tensor([[[1.0, 0.1, 1.0]]])
    some = torch.tensor([[[1000.0, 1.0, -1.0]]])
    assert ranking(some, sound, "signed_per_energy").argsort(descending=True).tolist() == [[[0, 1, 2]]]
    assert ranking(some, sound, "signed_root_per_energy").argsort(descending=True).tolist() == [[[1, 0, 2]]]
    assert ranking(-some, sound, "absolute_root_per_energy").argsort(descending=True).tolist() == [[[1, 0, 2]]]
    odds = torch.tensor([[[6.0, 0.0, -torch.inf]]])
    assert ranking(odds, sound, "odds_per_energy").argsort(descending=True).tolist() == [[[0, 1, 2]]]
    assert ranking(odds, sound, "odds_root_per_energy").argsort(descending=True).tolist() == [[[1, 0, 2]]]


def test_silent_bins_cost_something_per_energy() -> None:
    rank = ranking(torch.ones(1, 1, 2), torch.tensor([[[0.0, 1.0]]]), "signed_per_energy")
    assert rank.isfinite().all()
    assert rank[0, 0, 0] > rank[0, 0, 1]


def test_an_unknown_ranking_is_refused_with_the_known_ones() -> None:
    for how in ("random", "odds", "random_per_energy", "signed_root", "root_per_energy"):
        with pytest.raises(ValueError, match="choose one of signed, absolute"):
            ranking(relevance(), relevance(), how)
