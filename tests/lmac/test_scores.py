from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from pipeline.lmac.masking import apply_mask
from pipeline.lmac.scores import concentration, energy_kept, faithfulness


def two(*p: float) -> Tensor:
    """Probabilities `[B, 2]` with the first class at p."""
    return torch.tensor([[q, 1 - q] for q in p], dtype=torch.float64)


def scores(p: float, p_in: float, p_out: float, target: int = 0) -> dict[str, float]:
    result = faithfulness(two(p), two(p_in), two(p_out), torch.tensor([target]))
    return {name: value.item() for name, value in result.items()}


def test_a_drop_is_scored_as_worked_out_by_hand() -> None:
    got = scores(0.8, 0.6, 0.1)
    assert got["ad"] == pytest.approx(25)  # 0.2 of 0.8
    assert got["ff"] == pytest.approx(0.7)
    assert (got["ai"], got["ag"], got["fid_in"], got["keep"]) == (0, 0, 1, 0)


def test_a_gain_is_scored_as_worked_out_by_hand() -> None:
    got = scores(0.6, 0.9, 0.7)
    assert got["ag"] == pytest.approx(75)  # 0.3 of the 0.4 that were missing
    assert got["ff"] == pytest.approx(-0.1)
    assert (got["ai"], got["ad"], got["fid_in"], got["keep"]) == (100, 0, 1, 1)


@pytest.mark.parametrize(("p_in", "gains"), [(0.6 + 1e-7, 0), (0.609, 0), (0.611, 100)])
def test_a_gain_that_nobody_would_call_one_counts_in_ai_alone(p_in: float, gains: float) -> None:
    got = scores(0.6, p_in, 0.1)
    assert (got["ai"], got["ai_001"]) == (100, gains)


def test_a_mask_that_keeps_all_neither_drops_nor_gains() -> None:
    got = scores(0.7, 0.7, 0.5)
    assert (got["ad"], got["ag"], got["ai"], got["fid_in"], got["ad_double_softmax"]) == (0, 0, 0, 1, 0)


def test_an_empty_mask_leaves_the_whole_decision_outside() -> None:
    got = scores(0.9, 0.3, 0.9)
    assert got["ad"] == pytest.approx(100 * 0.6 / 0.9)
    assert (got["ff"], got["fid_in"], got["keep"]) == (0, 0, 1)


def test_a_class_that_was_not_decided_on_is_scored_by_its_own_probability() -> None:
    got = scores(0.8, 0.4, 0.9, target=1)
    assert (got["p"], got["p_in"], got["p_out"]) == pytest.approx((0.2, 0.6, 0.1))
    assert got["ag"] == pytest.approx(50)
    assert (got["fid_in"], got["keep"]) == (1, 0)


def test_each_clip_of_a_batch_is_scored_for_its_own_class() -> None:
    result = faithfulness(two(0.8, 0.3), two(0.4, 0.2), two(0.1, 0.9), torch.tensor([0, 1]))
    assert result["p"].tolist() == pytest.approx([0.8, 0.7])
    assert result["ad"].tolist() == pytest.approx([50, 0])
    assert result["ff"].tolist() == pytest.approx([0.7, 0.6])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("p", [0.0, 1.0, 1e-40, 1 - 6e-8])
@pytest.mark.parametrize("p_in", [0.0, 0.5, 1.0])
def test_certainty_and_impossibility_give_numbers_in_range(p: float, p_in: float, dtype: torch.dtype) -> None:
    result = faithfulness(two(p).to(dtype), two(p_in).to(dtype), two(p).to(dtype), torch.tensor([0]))
    for name, value in result.items():
        assert value.isfinite().all(), name
    for name in ("ai", "ad", "ag", "ad_double_softmax"):
        assert 0 <= result[name].item() <= 100.001, name


def test_all_that_can_be_lost_or_won_is_a_hundred() -> None:
    assert scores(1.0, 0.0, 0.0)["ad"] == 100
    assert scores(0.0, 1.0, 0.0)["ag"] == 100


@pytest.mark.parametrize(("n_classes", "reads"), [(50, 62.3), (200, 62.7), (1000, 62.8)])
def test_softmax_twice_reads_62_where_all_is_lost(n_classes: int, reads: float) -> None:
    full = torch.full((1, n_classes), 0.01 / (n_classes - 1), dtype=torch.float64)
    lost = torch.full((1, n_classes), 1 / (n_classes - 1), dtype=torch.float64)
    full[0, 0], lost[0, 0] = 0.99, 0.0
    result = faithfulness(full, lost, lost, torch.tensor([0]))
    assert result["ad"].item() == pytest.approx(100)
    assert result["ad_double_softmax"].item() == pytest.approx(reads, abs=0.05)


def test_an_even_mask_is_not_sparse_and_as_complex_as_can_be() -> None:
    mask = torch.full((2, 8, 5), 77, dtype=torch.uint8)
    assert concentration(mask)["sps"].tolist() == pytest.approx([0, 0], abs=1e-6)
    assert concentration(mask)["comp"].tolist() == pytest.approx([math.log(40)] * 2)


def test_a_single_bin_is_as_sparse_as_can_be_and_not_complex() -> None:
    mask = torch.zeros(1, 8, 5, dtype=torch.uint8)
    mask[0, 3, 2] = 178
    assert concentration(mask)["sps"].item() == pytest.approx(39 / 40)
    assert concentration(mask)["comp"].item() == pytest.approx(0, abs=1e-9)


def test_half_of_the_bins_are_half_as_sparse() -> None:
    mask = torch.zeros(1, 8, 5, dtype=torch.uint8)
    mask[:, :4] = 255
    assert concentration(mask)["sps"].item() == pytest.approx(0.5)
    assert concentration(mask)["comp"].item() == pytest.approx(math.log(20))


def test_an_empty_mask_has_defined_values() -> None:
    empty = torch.zeros(1, 3, 3, dtype=torch.uint8)
    assert concentration(empty)["sps"].item() == 0
    assert concentration(empty)["comp"].item() == 0


@given(st.lists(st.integers(0, 255), min_size=2, max_size=30))
def test_sparseness_and_complexity_are_those_of_their_definitions(values: list[int]) -> None:
    mask = torch.tensor(values, dtype=torch.uint8)[None, :, None]
    ordered, n, total = sorted(values), len(values), sum(values)
    gini = sum((2 * rank - n - 1) * value for rank, value in enumerate(ordered, 1)) / (n * total) if total else 0
    entropy = -sum(value / total * math.log(value / total) for value in values if value)
    assert concentration(mask)["sps"].item() == pytest.approx(gini, abs=1e-6)
    assert concentration(mask)["comp"].item() == pytest.approx(entropy, abs=1e-5)


@given(st.lists(st.integers(0, 85), min_size=2, max_size=30))
def test_sparseness_and_complexity_do_not_depend_on_scale(values: list[int]) -> None:
    mask = torch.tensor(values, dtype=torch.uint8)[None, :, None]
    for name, score in concentration(mask).items():
        assert concentration(3 * mask)[name].item() == pytest.approx(score.item(), abs=1e-5)


def test_a_mask_of_a_half_keeps_a_quarter_of_the_energy() -> None:
    magnitude = torch.rand(3, 6, 4, generator=torch.Generator().manual_seed(0))
    half = apply_mask(magnitude, torch.full_like(magnitude, 0.5), "magnitude")
    assert energy_kept(magnitude, half).tolist() == pytest.approx([0.25] * 3)
    assert energy_kept(magnitude, magnitude).tolist() == pytest.approx([1.0] * 3)


def test_the_energy_kept_is_that_of_the_loud_bins_kept() -> None:
    magnitude = torch.tensor([[[3.0], [1.0]]])
    mask = torch.tensor([[[1.0], [0.0]]])
    assert energy_kept(magnitude, mask * magnitude).item() == pytest.approx(0.9)


def test_silence_keeps_nothing() -> None:
    silence = torch.zeros(1, 6, 4)
    assert energy_kept(silence, silence).item() == 0


LN = math.log

# Logits are the two bins' energies in a steady sound of |X|^2 = ln 9 and ln 3: p = 9 / (9 + 3) of the first class.
SOUND = torch.tensor([[[LN(9) ** 0.5], [LN(3) ** 0.5]]], dtype=torch.float64)
# Drawn once from a uniform distribution, and rounded, so that all can be worked out by hand.
RANDOM = torch.tensor([[[0.5], [0.8]]], dtype=torch.float64)


@pytest.mark.parametrize(
    ("mask", "wanted"),
    [
        # All: in 9 : 3, out 1 : 1 of silence.
        (torch.ones_like(SOUND), {"p_in": 3 / 4, "p_out": 1 / 2, "ai": 0, "ad": 0, "ag": 0, "ff": 1 / 4, "fid_in": 1}),
        # Nothing: the other way round.
        (
            torch.zeros_like(SOUND),
            {"p_in": 1 / 2, "p_out": 3 / 4, "ai": 0, "ad": 100 / 3, "ag": 0, "ff": 0, "keep": 1},
        ),
        # The evidence alone: in 9 : 1, out 1 : 3.
        (
            torch.tensor([[[1.0], [0.0]]], dtype=torch.float64),
            {"p_in": 9 / 10, "p_out": 1 / 4, "ai": 100, "ai_001": 100, "ad": 0, "ag": 60, "ff": 1 / 2, "keep": 0},
        ),
        # Random: in 9^0.25 : 3^0.64, out 9^0.25 : 3^0.04.
        (
            RANDOM,
            {
                "p_in": 1 / (1 + 3 ** (0.64 - 0.5)),
                "p_out": 1 / (1 + 3 ** (0.04 - 0.5)),
                "ai": 0,
                "ad": 100 * (3 / 4 - 1 / (1 + 3**0.14)) / (3 / 4),
                "ag": 0,
                "ff": 3 / 4 - 1 / (1 + 3**-0.46),
                "fid_in": 0,
                "keep": 1,
            },
        ),
    ],
    ids=["ones", "empty", "oracle", "random"],
)
def test_masks_on_a_sound_are_scored_as_worked_out_by_hand(mask: Tensor, wanted: dict[str, float]) -> None:
    def classify(magnitude: Tensor) -> Tensor:
        return magnitude.square().sum(dim=2).softmax(1)

    inside, outside = (classify(apply_mask(SOUND, m, "magnitude")) for m in (mask, 1 - mask))
    got = faithfulness(classify(SOUND), inside, outside, torch.tensor([0]))
    assert got["p"].item() == pytest.approx(3 / 4)
    assert {name: got[name].item() for name in wanted} == pytest.approx(wanted)
