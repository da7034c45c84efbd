from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor

from pipeline.attribution.method import Method
from pipeline.evaluation.bootstrap import Bootstrap
from pipeline.evaluation.methods import ComparedMethod, relevance_of
from pipeline.evaluation.sanity import (
    Row,
    cases,
    layers_from_the_top,
    randomised,
    rank_correlation,
    sanity_rows,
    top_overlap,
)
from pipeline.models.classifier import Classifier
from schemas.evaluation_config import SanityConfig
from tests.evaluation.make import N
from tests.models.make import noise, small_models

WINDOWS = 3


def by_gradient(classifier: Classifier) -> Method:
    """A method that depends on every weight of a classifier."""

    def attribute(magnitude: Tensor, target: Tensor) -> Tensor:
        with torch.enable_grad():
            x = magnitude.detach().clone().requires_grad_(True)
            classifier(x).logits.gather(1, target[:, None]).sum().backward()
        assert x.grad is not None
        return (x.grad * x).detach()

    return Method("gradient", attribute, ("relu_p99",))


def loudness(classifier: Classifier) -> Method:
    """A method that does not depend on the classifier at all."""
    return Method("loudness", lambda magnitude, target: magnitude, ("relu_p99",))


def rows_of(make: object, truth: list[int] | None = None) -> list[Row]:
    classifier = small_models()[0]
    method = make(classifier)  # type: ignore[operator]
    method = ComparedMethod(
        method.name,
        relevance_of(method),
        method.masks,
        method.rankings,
        "magnitude",
        "",
        make,  # type: ignore[arg-type]
    )

    def batches() -> Iterator[tuple[Tensor, Tensor]]:
        yield torch.arange(2), noise(2, N)
        yield torch.tensor([2]), noise(1, N, seed=1)

    steps: list[int] = []
    known = np.array(truth if truth is not None else [-1] * WINDOWS)[:, None] == np.arange(2)
    bootstrap = Bootstrap(np.arange(WINDOWS), 100)
    rows = sanity_rows(
        classifier,
        method,
        batches(),
        truth=known,
        bootstrap=bootstrap,
        config=SanityConfig(),
        seed=0,
        on_case=lambda: steps.append(1),
    )
    assert len(steps) == cases(classifier, method)
    return rows


def of(rows: list[Row], test: str, measure: str) -> list[float]:
    return [row["value"] for row in rows if (row["test"], row["measure"]) == (test, measure)]


def test_layers_are_named_from_the_decision_down() -> None:
    names = ["classify", "embed", "blocks.3", "blocks.2", "blocks.1", "blocks.0", "norm0"]
    assert layers_from_the_top(small_models()[0]) == names


def test_each_copy_has_one_more_layer_random_and_the_last_has_all() -> None:
    classifier = small_models()[0]
    before = {name: value.clone() for name, value in classifier.state_dict().items()}
    done: list[str] = []
    for layer, worse in randomised(classifier, 0):
        done.append(layer)
        changed = {name for name, value in worse.named_parameters() if not torch.equal(value, before[name])}
        assert all(any(name.startswith(f"{one}.") for one in done) for name in changed)
        weights = {name for name, value in classifier.named_parameters() if value.ndim > 1}
        assert {name for name in weights if any(name.startswith(f"{one}.") for one in done)} <= changed
        assert not any(value.requires_grad for value in worse.parameters())
    assert all(torch.equal(value, before[name]) for name, value in classifier.state_dict().items())


def test_statistics_of_normalisation_start_anew() -> None:
    classifier = small_models()[0]
    classifier.get_buffer("norm0.running_mean").fill_(7)
    *_, (_, worse) = randomised(classifier, 0)
    assert not worse.get_buffer("norm0.running_mean").any()


def test_a_seed_makes_the_same_random_layers_and_leaves_the_global_generator_alone() -> None:
    classifier = small_models()[0]
    torch.manual_seed(3)
    first = [worse.state_dict() for _, worse in randomised(classifier, 5)]
    drawn = torch.rand(1)
    again = [worse.state_dict() for _, worse in randomised(classifier, 5)]
    assert all(torch.equal(a[name], b[name]) for a, b in zip(first, again, strict=True) for name in a)
    torch.manual_seed(3)
    assert torch.equal(torch.rand(1), drawn)


def test_a_method_that_ignores_the_classifier_is_found_out() -> None:
    rows = rows_of(loudness)
    assert of(rows, "randomisation", "rank_correlation") == pytest.approx([1.0] * 7)
    assert of(rows, "randomisation", "ssim") == pytest.approx([1.0] * 7)


def test_a_method_that_depends_on_the_classifier_loses_its_mask() -> None:
    rows = rows_of(by_gradient)
    assert of(rows, "randomisation", "rank_correlation")[-1] < 0.5
    assert [row["case"] for row in rows if row["measure"] == "ssim"] == layers_from_the_top(small_models()[0])


def test_a_method_that_follows_the_sound_holds_still() -> None:
    rows = [row for row in rows_of(loudness) if row["test"] == "stability"]
    cases = ["white noise at 40 dB", "later by 10 frames", "gain of +6 dB", "gain of -6 dB"]
    assert [row["case"] for row in rows] == cases
    noisy, *others = (row["value"] for row in rows)
    assert noisy > 0.9
    assert others == pytest.approx([1.0] * 3, abs=0.01)


def test_the_rest_is_held_against_chance_and_accuracy() -> None:
    rows = [row for row in rows_of(loudness, truth=[0, -1, 1]) if row["test"] == "masked_out"]
    kept, chance, accuracy = rows
    assert chance["value"] == pytest.approx(1 / 3)
    assert (kept["n"], accuracy["n"]) == (WINDOWS, 2)
    assert all(row["low"] <= row["value"] <= row["high"] for row in rows)


def test_without_labels_there_is_no_accuracy() -> None:
    assert [row["case"] for row in rows_of(loudness) if row["test"] == "masked_out"][1:] == ["chance"]


def test_overlap_is_whole_with_itself_and_nothing_with_its_inverse() -> None:
    relevance = torch.rand(2, 20, 10, generator=torch.Generator().manual_seed(0))
    assert top_overlap(relevance, relevance, 0) == [1.0, 1.0]
    assert top_overlap(relevance, -relevance, 0) == [0.0, 0.0]


def test_rank_correlation_sees_order_alone() -> None:
    a = np.random.default_rng(0).random((6, 5))
    assert rank_correlation(a, np.exp(9 * a)) == pytest.approx(1)
    assert rank_correlation(a, -a) == pytest.approx(-1)
    assert rank_correlation(a, np.zeros_like(a)) == 0
