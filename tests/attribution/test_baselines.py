from __future__ import annotations

import warnings
from copy import deepcopy

import numpy as np
import pytest
import torch
from torch import nn

from pipeline.attribution.baselines import BASELINES, baseline, unsuited
from pipeline.attribution.relevance import ranking, soft_mask
from tests.attribution.fakes import SMALL, magnitude
from tests.models.clap.make import FRONT_END, SHORT, small_clap

X = magnitude(3, amplitude=1.0)
TARGET = torch.tensor([0, 1, 2])
BLIND = {"energy", "random", "constant"}  # that know nothing of the classifier
OF_RELUS = {"deeplift", "guided_backprop", "guided_gradcam"}
CLAP = small_clap(SHORT, FRONT_END.model_copy(update={"window_s": 0.5}))
every = pytest.mark.parametrize("name", BASELINES)


@every
def test_relevance_is_finite_and_of_the_magnitudes_shape(name: str) -> None:
    got = baseline(name, SMALL).attribute(X, TARGET)
    assert got.shape == X.shape
    assert got.dtype == X.dtype
    assert got.isfinite().all()
    assert not got.requires_grad


@every
def test_a_window_is_explained_alike_alone_and_in_a_batch(name: str) -> None:
    method = baseline(name, SMALL)
    together = method.attribute(X, TARGET)
    alone = torch.cat([method.attribute(X[i : i + 1], TARGET[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(alone, together, rtol=1e-3, atol=1e-4 * float(together.abs().max()))


@every
def test_the_same_twice_is_the_same(name: str) -> None:
    first, second = (baseline(name, SMALL, seed=3).attribute(X, TARGET) for _ in range(2))
    assert torch.equal(first, second)


@pytest.mark.parametrize("name", [name for name in BASELINES if name not in BLIND])
def test_another_class_has_another_explanation(name: str) -> None:
    method = baseline(name, SMALL)
    one, other = method.attribute(X, TARGET), method.attribute(X, (TARGET + 1) % 3)
    difference = (one - other).abs().amax(dim=(1, 2)) / one.abs().amax(dim=(1, 2))
    assert difference.min() > 0.01


@pytest.mark.parametrize("name", sorted(BLIND))
def test_what_knows_nothing_of_the_classifier_says_the_same_of_every_class(name: str) -> None:
    method = baseline(name, SMALL)
    assert torch.equal(method.attribute(X, TARGET), method.attribute(X, (TARGET + 1) % 3))


@every
def test_the_classifier_is_left_as_it_was(name: str) -> None:
    def state() -> list[object]:
        modules = list(SMALL.modules())
        hooks = [(m._forward_hooks, m._forward_pre_hooks, m._backward_hooks, m._backward_pre_hooks) for m in modules]
        kept = [sorted(vars(m)) for m in modules]
        gradients = [(p.requires_grad, p.grad) for p in SMALL.parameters()]
        return [[[len(h) for h in four] for four in hooks], kept, gradients, [m.training for m in modules]]

    before, output, x = state(), SMALL(X).logits, X.clone()
    baseline(name, SMALL).attribute(X, TARGET)
    assert state() == before
    assert torch.equal(SMALL(X).logits, output)
    assert torch.equal(X, x)
    assert not X.requires_grad


@every
def test_a_method_draws_nothing_from_the_generators_of_others(name: str) -> None:
    torch.manual_seed(5)
    np.random.seed(5)
    baseline(name, SMALL).attribute(X[:1], TARGET[:1])
    drawn = float(torch.rand(())), float(np.random.random())
    torch.manual_seed(5)
    np.random.seed(5)
    assert drawn == (float(torch.rand(())), float(np.random.random()))


@every
@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_a_caller_without_gradients_gets_the_same(name: str, mode: type) -> None:
    method = baseline(name, SMALL)
    expected = method.attribute(X[:1], TARGET[:1])
    with mode():
        x, y = X[:1] * 1, TARGET[:1] * 1
        got = method.attribute(x, y)
    assert torch.equal(got, expected)


@every
def test_nothing_is_said_to_the_console(name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        baseline(name, SMALL).attribute(X[:1], TARGET[:1])


@every
def test_its_masks_and_rankings_are_known(name: str) -> None:
    method = baseline(name, SMALL)
    relevance = method.attribute(X[:1], TARGET[:1])
    sizes = [float(soft_mask(relevance, X[:1], how).mean()) for how in method.masks]
    assert 0 < max(sizes) <= 1  # one that takes the positive part may find none
    for how in method.rankings:
        assert ranking(relevance, X[:1], how).shape == X[:1].shape
    assert method.masks
    assert method.rankings
    assert method.name == name


@pytest.mark.parametrize("name", [name for name in BASELINES if name != "constant"])
def test_silence_has_no_evidence_worth_a_number_that_is_none(name: str) -> None:
    silence = torch.zeros(1, *X.shape[1:])
    method = baseline(name, SMALL)
    relevance = method.attribute(silence, TARGET[:1])
    for how in method.masks:
        assert soft_mask(relevance, silence, how).isfinite().all()


def test_an_unknown_baseline_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"no method 'integrated', choose from saliency, .*integrated_gradients"):
        baseline("integrated", SMALL)


@every
def test_every_baseline_suits_a_classifier_of_relus(name: str) -> None:
    assert unsuited(name, SMALL) is None


def test_what_rests_on_rules_for_relus_does_not_suit_a_clap() -> None:
    reasons = {name: reason for name in BASELINES if (reason := unsuited(name, CLAP)) is not None}
    assert reasons.keys() == OF_RELUS
    for name, reason in reasons.items():
        assert reason.startswith("made for ReLUs, and the classifier has ")
        assert all(module in reason for module in ("GELUActivation", "LayerNorm", "SelfAttention"))
        with pytest.raises(ValueError, match="made for ReLUs"):
            baseline(name, CLAP)


@pytest.mark.parametrize("module", [nn.GELU(), nn.Sigmoid(), nn.LayerNorm(8), nn.MultiheadAttention(8, 2)])
def test_one_nonlinearity_of_another_kind_is_enough(module: nn.Module) -> None:
    classifier = deepcopy(SMALL)
    classifier.relu = module
    assert {name for name in BASELINES if unsuited(name, classifier)} == OF_RELUS
    assert type(module).__name__ in str(unsuited("deeplift", classifier))


@pytest.mark.parametrize("name", [name for name in BASELINES if name not in OF_RELUS | BLIND])
def test_a_baseline_that_suits_a_clap_has_another_explanation_for_another_class(name: str) -> None:
    window = torch.rand(1, CLAP.front_end.config.n_freq, 51)
    one, other = (baseline(name, CLAP).attribute(window, torch.tensor([target])) for target in (0, 1))
    assert one.shape == window.shape
    assert one.isfinite().all()
    assert (one - other).abs().max() > 0.01 * one.abs().max() > 0
