from __future__ import annotations

import torch

from pipeline.attribution import controls
from tests.attribution.fakes import magnitude

TARGET = torch.zeros(4, dtype=torch.long)


def test_energy_is_what_is_loud() -> None:
    x = magnitude(4)
    assert torch.equal(controls.energy(x, TARGET), x)


def test_a_constant_prefers_no_bin() -> None:
    assert controls.constant(magnitude(4), TARGET).unique().tolist() == [1]


def test_random_relevance_differs_between_windows() -> None:
    got = controls.random(0)(magnitude(4), TARGET).flatten(1)
    assert torch.corrcoef(got).fill_diagonal_(0).abs().max() < 0.05


def test_random_relevance_of_a_window_is_the_same_in_every_batch_and_place() -> None:
    x, method = magnitude(4), controls.random(0)
    together = method(x, TARGET)
    assert torch.equal(torch.cat([method(one, TARGET[:1]) for one in x.split(1)]), together)
    assert torch.equal(method(x.flip(0), TARGET).flip(0), together)


def test_random_relevance_does_not_hang_on_the_last_bits_of_a_magnitude() -> None:
    x, method = magnitude(4), controls.random(0)
    assert torch.equal(method(x * (1 + 1e-6), TARGET), method(x, TARGET))


def test_another_seed_draws_other_numbers() -> None:
    x = magnitude(4)
    assert not torch.equal(controls.random(0)(x, TARGET), controls.random(1)(x, TARGET))


def test_random_relevance_is_even_between_0_and_1() -> None:
    got = controls.random(0)(magnitude(4), TARGET)
    counts = torch.histc(got, bins=10, min=0, max=1) / got.numel()
    assert (counts - 0.1).abs().max() < 0.005
