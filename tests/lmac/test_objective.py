from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import Tensor

from pipeline.lmac.masking import apply_mask
from pipeline.lmac.objective import log_complement, objective
from schemas.training_config import DecoderTraining, GuidanceConfig, ObjectiveConfig
from tests.lmac.fakes import LinearClassifier

PAPER = ObjectiveConfig()
TWO = LinearClassifier(torch.eye(2))
FLAT = torch.ones(1, 2, 1)
KEEP_FIRST = torch.tensor([[[1.0], [0.0]]])
FIRST = torch.tensor([0])


def test_the_terms_are_those_worked_out_by_hand() -> None:
    # Kept: logits (1, 0); left: logits (0, 1); half of the mask is on.
    terms = objective(TWO, FLAT, KEEP_FIRST, FIRST, PAPER)
    inside, outside = math.log(1 + math.exp(-1)), -math.log(1 + math.e)
    assert terms.masked_in.item() == pytest.approx(inside)
    assert terms.masked_out.item() == pytest.approx(outside)
    assert terms.size.item() == pytest.approx(0.5)
    assert terms.total.item() == pytest.approx(4 * inside + 0.2 * outside + 0.4 * 0.5)


def test_log_complement_is_the_cost_of_what_is_left_of_the_class() -> None:
    terms = objective(TWO, FLAT, KEEP_FIRST, FIRST, PAPER.model_copy(update={"masked_out": "log_complement"}))
    p_out = 1 / (1 + math.e)
    assert terms.masked_out.item() == pytest.approx(-math.log(1 - p_out))


@pytest.mark.parametrize(("mean", "excess"), [(0.1, 0.0), (0.25, 0.0), (0.75, 0.5)])
def test_the_hinge_asks_for_a_size_and_no_less(mean: float, excess: float) -> None:
    config = PAPER.model_copy(update={"size": "hinge", "target_mean": 0.25})
    terms = objective(TWO, FLAT, torch.full((1, 2, 1), mean), FIRST, config)
    assert terms.size.item() == pytest.approx(excess)


def test_the_hinge_lets_broad_sounds_take_what_narrow_ones_leave() -> None:
    config = PAPER.model_copy(update={"size": "hinge", "target_mean": 0.5})
    masks = torch.stack([torch.zeros(2, 1), torch.ones(2, 1)])
    terms = objective(TWO, FLAT.expand(2, 2, 1), masks, FIRST.expand(2), config)
    assert terms.size.item() == 0


@pytest.mark.parametrize("size", ["mean", "hinge"])
def test_no_term_depends_on_the_batch_size(size: str) -> None:
    config = PAPER.model_copy(update={"size": size})
    once = objective(TWO, FLAT, KEEP_FIRST, FIRST, config)
    often = objective(TWO, FLAT.repeat(7, 1, 1), KEEP_FIRST.repeat(7, 1, 1), FIRST.repeat(7), config)
    torch.testing.assert_close(vars(often), vars(once))


def test_a_mask_of_ones_is_the_classifier_itself_and_silence() -> None:
    magnitude = torch.tensor([[[3.0], [1.0]]])
    terms = objective(TWO, magnitude, torch.ones(1, 2, 1), FIRST, PAPER)
    assert terms.masked_in.item() == pytest.approx(math.log(1 + math.exp(-2)))
    assert terms.masked_out.item() == pytest.approx(-math.log(2))  # of silence it says nothing
    assert terms.size.item() == 1.0


def test_an_empty_mask_is_silence_and_the_classifier_itself() -> None:
    magnitude = torch.tensor([[[3.0], [1.0]]])
    terms = objective(TWO, magnitude, torch.zeros(1, 2, 1), FIRST, PAPER)
    assert terms.masked_in.item() == pytest.approx(math.log(2))
    assert terms.masked_out.item() == pytest.approx(-math.log(1 + math.exp(-2)))
    assert terms.size.item() == 0.0


@settings(deadline=None)
@given(st.lists(st.floats(-8, 8), min_size=2, max_size=6), st.integers(0, 5))
def test_log_complement_is_the_log_of_the_other_classes_share(values: list[float], which: int) -> None:
    logits, y = torch.tensor([values], dtype=torch.float64), which % len(values)
    wanted = torch.log1p(-logits.softmax(1)[0, y])
    torch.testing.assert_close(log_complement(logits, torch.tensor([y]))[0], wanted)


@pytest.mark.parametrize("gap", [90.0, 1e4, -1e4])
def test_log_complement_and_its_gradient_stay_finite_where_a_class_is_certain(gap: float) -> None:
    logits = torch.tensor([[gap, 0.0, -5.0]], requires_grad=True)
    value = log_complement(logits, FIRST)
    value.sum().backward()
    wanted = -gap + math.log1p(math.exp(-5)) if gap > 0 else 0.0
    assert value.item() == pytest.approx(wanted, rel=1e-5)
    assert logits.grad is not None
    assert logits.grad.isfinite().all()


@settings(deadline=None, max_examples=30)
@given(st.floats(0, 1), st.floats(0, 1e4))
def test_a_mask_lies_between_silence_and_all_in_either_domain(mask: float, magnitude: float) -> None:
    m, x = torch.tensor([mask], dtype=torch.float64), torch.tensor([magnitude], dtype=torch.float64)
    assert apply_mask(x, m, "magnitude").item() == pytest.approx(mask * magnitude)
    log = apply_mask(x, m, "log1p")
    assert log.item() == pytest.approx((1 + magnitude) ** mask - 1, rel=1e-6, abs=1e-9)
    assert 0 <= log.item() <= mask * magnitude * (1 + 1e-9) + 1e-12  # the logarithm takes more away


def test_an_unknown_domain_is_named() -> None:
    with pytest.raises(ValueError, match="'power'"):
        apply_mask(FLAT, FLAT, "power")


@pytest.mark.parametrize("config", [PAPER, DecoderTraining().objective], ids=["paper", "default"])
def test_descent_finds_the_bins_that_hold_the_evidence(config: ObjectiveConfig) -> None:
    weights = torch.zeros(3, 24)
    for c in range(3):
        weights[c, 4 * c : 4 * c + 3] = 1.0  # bins 12 and up are evidence of nothing
    classifier = LinearClassifier(weights)
    target = torch.tensor([0, 1, 2])
    magnitude = torch.ones(3, 24, 5)
    magnitude[torch.arange(3), :, :] += 2 * weights[target][:, :, None]
    assert torch.equal(classifier(magnitude).logits.argmax(1), target)

    free = torch.zeros(3, 24, 5, requires_grad=True)
    optimizer = torch.optim.Adam([free], 0.2)
    for _ in range(150):
        optimizer.zero_grad()
        objective(classifier, magnitude, free.sigmoid(), target, config).total.backward()
        optimizer.step()
    mask: Tensor = free.detach().sigmoid()
    evidence = weights[target][:, :, None].expand_as(mask) > 0
    assert mask[evidence].min() > 0.7
    assert mask[~evidence].max() < 0.3


def test_the_reference_objective_sums_its_sizes_over_the_batch() -> None:
    config = DecoderTraining.model_validate({"objective": "lmac-reference"}).objective
    once = objective(TWO, FLAT, KEEP_FIRST, FIRST, config)
    often = objective(TWO, FLAT.repeat(7, 1, 1), KEEP_FIRST.repeat(7, 1, 1), FIRST.repeat(7), config)
    assert often.masked_in.item() == pytest.approx(once.masked_in.item())
    assert often.size.item() == pytest.approx(7 * once.size.item())


def test_an_objective_by_another_name_is_refused() -> None:
    with pytest.raises(ValidationError, match="lmac-reference"):
        DecoderTraining.model_validate({"objective": "lmac"})


def test_the_term_of_energy_is_the_excess_over_its_target() -> None:
    config = PAPER.model_copy(update={"lambda_e": 2.0, "target_energy": 0.4})
    magnitude = torch.tensor([[[3.0], [1.0]]])  # nine tenths of the energy in the first bin
    without = objective(TWO, magnitude, KEEP_FIRST, FIRST, PAPER)
    terms = objective(TWO, magnitude, KEEP_FIRST, FIRST, config)
    assert terms.energy.item() == pytest.approx(0.5)
    assert (terms.total - without.total).item() == pytest.approx(2 * 0.5)


def test_masks_cut_at_a_budget_do_not_count_as_large() -> None:
    masks = torch.stack([torch.full((2, 1), 0.2), torch.ones(2, 1)])
    sized = torch.tensor([True, False])
    terms = objective(TWO, FLAT.expand(2, 2, 1), masks, FIRST.expand(2), PAPER, sized=sized)
    assert terms.size.item() == pytest.approx(0.2)
    none = objective(TWO, FLAT.expand(2, 2, 1), masks, FIRST.expand(2), PAPER, sized=~torch.ones_like(sized))
    assert none.size.item() == 0


def test_guidance_pulls_towards_the_loud_bins_where_the_mask_is_already_like_the_sound() -> None:
    config = PAPER.model_copy(update={"guidance": GuidanceConfig()})
    magnitude = torch.tensor([[[3.0], [3.0], [0.1], [0.1]]])
    three = LinearClassifier(torch.eye(4)[:2], audible=torch.ones(4, dtype=torch.bool))
    loud, quiet = torch.tensor([[[0.9], [0.9], [0.1], [0.1]]]), torch.tensor([[[0.01], [0.01], [0.9], [0.9]]])
    assert objective(three, magnitude, loud, FIRST, config).guidance.item() == pytest.approx(-math.log(0.9), rel=1e-4)
    assert objective(three, magnitude, quiet, FIRST, config).guidance.item() == 0  # too unlike to be guided


def test_guidance_is_of_masks_of_a_size_of_their_own() -> None:
    config = PAPER.model_copy(update={"guidance": GuidanceConfig(correlation=0.0)})
    magnitude = torch.tensor([[[3.0], [3.0], [0.1], [0.1]]]).expand(2, 4, 1)
    three = LinearClassifier(torch.eye(4)[:2], audible=torch.ones(4, dtype=torch.bool))
    masks = torch.tensor([[[0.9], [0.9], [0.1], [0.1]], [[0.0], [1.0], [1.0], [0.0]]], requires_grad=True)
    terms = objective(three, magnitude, masks, FIRST.expand(2), config, sized=torch.tensor([True, False]))
    assert terms.guidance.item() == pytest.approx(-math.log(0.9), rel=1e-4)
    (slope,) = torch.autograd.grad(terms.guidance, masks)
    assert slope[0].abs().max() < 10
    assert (slope[1] == 0).all()


def test_guidance_does_not_ask_for_what_cannot_be_heard() -> None:
    config = PAPER.model_copy(update={"guidance": GuidanceConfig()})
    magnitude = torch.tensor([[[3.0], [0.1], [3.0]]])
    deaf = LinearClassifier(torch.eye(3)[:2], audible=torch.tensor([True, True, False]))
    mask = torch.tensor([[[0.9], [0.1], [0.0]]])
    assert objective(deaf, magnitude, mask, FIRST, config).guidance.item() == pytest.approx(-math.log(0.9), rel=1e-4)
