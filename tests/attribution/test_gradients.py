from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from pipeline.attribution import gradients
from pipeline.attribution.logits import Logits
from pipeline.models.classifier import Classifier, ClassifierOutput
from tests.attribution.fakes import FRAMES, SMALL, RegionClassifier, difference, magnitude
from tests.lmac.fakes import LinearClassifier

WEIGHTS = torch.tensor([[1.0, -2.0, 0.0], [0.5, 0.0, 3.0]])
LINEAR = LinearClassifier(WEIGHTS)
TARGET = torch.tensor([0, 1])
X = torch.rand(2, 3, 4, generator=torch.Generator().manual_seed(0))
SLOPE = WEIGHTS[:, :, None].expand(2, 3, 4) / 4  # the mean over four frames


def test_the_saliency_of_a_linear_classifier_is_its_weights() -> None:
    torch.testing.assert_close(gradients.saliency(LINEAR)(X, TARGET), SLOPE)


def test_the_noise_of_smoothgrad_does_not_change_a_gradient_that_is_the_same_everywhere() -> None:
    torch.testing.assert_close(gradients.smoothgrad(LINEAR, 0)(X, TARGET), SLOPE)


@pytest.mark.parametrize("method", [gradients.input_x_gradient, gradients.integrated_gradients])
def test_what_each_bin_adds_to_a_linear_classifier_is_its_weight_times_its_magnitude(method) -> None:  # type: ignore[no-untyped-def]
    torch.testing.assert_close(method(LINEAR)(X, TARGET), SLOPE * X)


def test_expected_gradients_of_a_linear_classifier_lie_between_those_from_silence_and_from_a_steady_sound() -> None:
    from_silence, from_steady = SLOPE * X, SLOPE * (X - X.mean(dim=2, keepdim=True))
    got = gradients.gradient_shap(LINEAR, 0)(X, TARGET)
    share = (got - from_steady) / (from_silence - from_steady)
    share = share[SLOPE != 0]
    assert 0.2 < share.min() < share.max() < 0.8  # of 25 draws, about half take either
    torch.testing.assert_close(share, share.mean().expand_as(share))


@pytest.mark.parametrize("amplitude", [0.01, 1.0])
def test_integrated_gradients_are_complete_on_a_cnn(amplitude: float) -> None:
    x, y = magnitude(amplitude=amplitude), torch.tensor([0, 2])
    total = gradients.integrated_gradients(SMALL)(x, y).sum(dim=(1, 2))
    torch.testing.assert_close(total, difference(SMALL, x, y), atol=0.01, rtol=0.01)


@pytest.mark.parametrize("amplitude", [0.01, 0.1, 1.0])
def test_deeplift_is_complete_on_a_cnn_whose_maxima_over_time_stay_where_they_are(amplitude: float) -> None:
    # The same in all frames but the edges: the baseline's maximum and the window's are of the same value or place.
    x, y = magnitude(frames=1, amplitude=amplitude).expand(-1, -1, FRAMES), TARGET
    total = gradients.deeplift(SMALL)(x, y).sum(dim=(1, 2))
    torch.testing.assert_close(total, difference(SMALL, x, y), atol=0.02, rtol=0.02)


def test_deeplift_through_the_logarithm_gives_each_bin_its_share_of_the_bands_power() -> None:
    region = RegionClassifier((10, 20), (5, 9))
    x, y = magnitude(), torch.tensor([0, 0])
    got = gradients.deeplift(region)(x, y)
    front_end = region.front_end
    weights = front_end.mel_weights[:, 5:9]
    bands = (x.square().transpose(1, 2) @ weights)[:, 10:20]
    over_silence = torch.log(bands / front_end.config.log_floor + 1) / 40  # the mean over 10 frames and 4 bands
    shares = x[:, :, 10:20].square()[..., None] * weights[None, :, None] / bands[:, None]
    torch.testing.assert_close(got[:, :, 10:20], (shares * over_silence[:, None]).sum(dim=3))
    assert got[:, ~region.bins(FRAMES)].abs().max() == 0


def test_deeplift_is_refused_where_there_is_no_log_mel_to_begin_from() -> None:
    with pytest.raises(ValueError, match=r"made for a classifier of a log-mel, not Linear"):
        gradients.deeplift(LINEAR)


class Gate(Classifier):
    """`-relu(-|X|_0 + 2) + relu(|X|_1)`: its first bin speaks for the class only through a negative weight."""

    n_classes = 1

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.ReLU(), nn.ReLU()

    @property
    def representation_channels(self) -> tuple[int, ...]:
        return ()

    def forward(self, magnitude: Tensor) -> ClassifierOutput:
        logits = (self.second(magnitude[:, 1]) - self.first(2 - magnitude[:, 0])).sum(dim=1, keepdim=True)
        return ClassifierOutput(logits, logits, ())


def test_guided_backprop_lets_no_negative_gradient_pass_a_relu() -> None:
    x, y = torch.ones(1, 2, 3), torch.tensor([0])
    assert gradients.saliency(Gate())(x, y)[0, :, 0].tolist() == [1, 1]
    assert gradients.guided_backprop(Gate())(x, y)[0, :, 0].tolist() == [0, 1]


class Guided(torch.autograd.Function):
    """A ReLU whose gradient passes where both its input and the gradient are positive."""

    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:  # type: ignore[no-untyped-def]
        ctx.save_for_backward(x)
        return x.relu()

    @staticmethod
    def backward(ctx, slope: Tensor) -> Tensor:  # type: ignore[no-untyped-def]
        (x,) = ctx.saved_tensors
        return slope.relu() * (x > 0)


class GuidedReLU(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return Guided.apply(x)


def test_guided_backprop_finds_every_relu_of_the_cnn() -> None:
    by_hand = copy.deepcopy(SMALL)
    names = [name for name, module in by_hand.named_modules() if isinstance(module, nn.ReLU)]
    for name in names:
        by_hand.set_submodule(name, GuidedReLU())
    assert len(names) == 9
    x, y = magnitude(), torch.tensor([0, 1])
    expected = gradients.saliency(by_hand)(x, y)
    assert expected.abs().max() > 0
    torch.testing.assert_close(gradients.guided_backprop(SMALL)(x, y), expected)


@pytest.mark.parametrize("name", ["saliency", "input_x_gradient", "integrated_gradients", "deeplift"])
def test_evidence_outside_the_region_that_a_class_hears_is_none(name: str) -> None:
    region = RegionClassifier((10, 20), (5, 9))
    got = getattr(gradients, name)(region)(magnitude(), torch.tensor([0, 0]))
    inside = region.bins(FRAMES)
    assert got[:, ~inside].abs().max() == 0
    assert got[:, inside].min() > 0


def test_the_logit_is_what_is_explained() -> None:
    x, y = magnitude(), torch.tensor([0, 2])
    logits = Logits(SMALL)(wanted := x.clone().requires_grad_(True))
    (slope,) = torch.autograd.grad(logits.gather(1, y[:, None]).sum(), wanted)
    torch.testing.assert_close(gradients.saliency(SMALL)(x, y), slope)
