from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pipeline.evaluation.curves import area, curve_scores
from tests.evaluation.make import LowOrHigh, rank_by_frequency, window_batch

BINS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
BUDGETS = {"bins": (*BINS, 1.0), "energy": (*BINS, 0.77, 0.9, 1.0)}


def curves(lowest_first: bool = True) -> dict[tuple[str, float], dict[str, torch.Tensor]]:
    one = window_batch()
    rows = curve_scores(LowOrHigh(), one, rank_by_frequency(one, lowest_first), BUDGETS, seed=0)
    return {(by, budget): scores for by, budget, scores in rows}


def test_every_budget_of_bins_and_of_energy_has_its_row() -> None:
    assert list(curves()) == [(by, budget) for by, budgets in BUDGETS.items() for budget in budgets]


def test_the_evidence_first_convinces_at_once_and_its_loss_is_felt() -> None:
    row = curves(lowest_first=True)["bins", 0.5]
    assert row["p_in"].item() > 0.95
    assert row["p_out"].item() < 0.05
    assert row["ff"].item() > 0.9


def test_half_of_the_bins_say_what_their_energy_says() -> None:
    one = window_batch()
    energy = one.magnitude.square().sum(dim=2)[0].double()
    n = one.magnitude.shape[1]
    kept, rest = energy[: n // 2].sum(), energy[n // 2 :].sum()  # an odd number: the middle bin is cut in time
    row = curves(lowest_first=True)["bins", 0.5]

    def p_of_low(low: torch.Tensor, high: torch.Tensor) -> torch.Tensor:
        return torch.sigmoid(8.0 * (low - high) / (low + high + 1.0))

    zero = torch.zeros(())
    assert row["p"].item() == pytest.approx(p_of_low(kept, rest).item(), abs=1e-3)
    assert row["p_in"].item() == pytest.approx(p_of_low(kept, zero).item(), abs=1e-3)
    assert row["p_out"].item() == pytest.approx(p_of_low(zero, rest).item(), abs=1e-3)
    assert row["ff"].item() == pytest.approx(p_of_low(kept, rest).item() - p_of_low(zero, rest).item(), abs=2e-3)
    assert row["energy_kept"].item() == pytest.approx((kept / (kept + rest)).item(), abs=1e-3)


def test_the_evidence_last_convinces_nobody() -> None:
    row = curves(lowest_first=False)["bins", 0.2]
    assert row["p_in"].item() < 0.05
    assert row["fid_in"].item() == 0
    assert row["p_out"].item() > 0.95


def test_a_mask_of_everything_is_the_input_itself() -> None:
    row = curves()["bins", 1.0]
    assert row["bins_kept"].item() == 1
    assert row["energy_kept"].item() == pytest.approx(1)
    assert row["p_in"].item() == pytest.approx(row["p"].item())
    assert row["ad"].item() == 0


def test_both_shares_are_told_and_that_of_the_budget_is_within_it() -> None:
    for (by, budget), row in curves().items():
        assert row[f"{by}_kept"].item() <= budget + 1e-9
        assert 0 <= row["bins_kept"].item() <= 1
        assert 0 <= row["energy_kept"].item() <= 1 + 1e-9


def test_windows_of_a_batch_are_scored_each_for_itself() -> None:
    both = window_batch(2)
    rank = torch.cat([rank_by_frequency(both, True)[:1], rank_by_frequency(both, False)[:1]])
    for by, budget, scores in curve_scores(LowOrHigh(), both, rank, BUDGETS, seed=0):
        if (by, budget) == ("bins", 0.2):
            assert scores["p_in"][0] > 0.95 > 0.05 > scores["p_in"][1]


@given(st.floats(0, 1), st.integers(1, 4))
def test_the_area_of_a_flat_curve_is_its_height(height: float, windows: int) -> None:
    assert area(np.full((windows, len(BINS)), height), BINS) == pytest.approx([height] * windows)


def test_the_area_of_a_straight_line_over_the_logarithm_is_its_middle() -> None:
    share = np.array(BINS)
    line = np.log(share / 0.01) / np.log(50)
    assert area(line, BINS) == pytest.approx(0.5)


def test_budgets_beyond_a_half_do_not_change_an_area() -> None:
    values = np.linspace(0, 1, len(BINS))
    assert area(np.append(values, [7.0, 9.0]), (*BINS, 0.77, 0.9)) == pytest.approx(area(values, BINS))


def test_an_area_needs_its_ends() -> None:
    with pytest.raises(ValueError, match=r"0\.01 to 0\.5 needs both"):
        area(np.zeros(3), (0.02, 0.1, 0.5))


def test_no_method_spends_its_budget_on_bins_that_the_classifier_cannot_hear() -> None:
    one, classifier = window_batch(), LowOrHigh()
    deaf = ~classifier.front_end.audible[:, None]
    assert deaf.any()
    rank = rank_by_frequency(one)
    wasteful, knowing = rank.masked_fill(deaf, torch.inf), rank.masked_fill(deaf, -torch.inf)
    first, second = (curve_scores(classifier, one, r, BUDGETS, seed=0) for r in (wasteful, knowing))
    for (by, budget, got), (_, _, wanted) in zip(first, second, strict=True):
        for name, values in got.items():
            assert torch.equal(values, wanted[name]), (by, budget, name)
