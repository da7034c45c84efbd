from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from schemas.explainer_config import Cnn10Config, DecoderConfig, ExplainerConfig, FrontEndConfig
from schemas.run_config import ContentConfig
from schemas.targets import Targets

LABELS = ("rain", "wind", "a dog barking")


def explainer(evidence: int = 5, labels: tuple[str, ...] = LABELS) -> ExplainerConfig:
    decoder = DecoderConfig(evidence=evidence)
    return ExplainerConfig(
        name="birds", labels=labels, front_end=FrontEndConfig(), classifier=Cnn10Config(), decoder=decoder
    )


@pytest.mark.parametrize(
    ("text", "same", "count", "indices"),
    [
        ("top1", "top1", 1, None),
        (" topk:1", "top1", 1, None),
        ("topk: 2", "topk:2", 2, None),
        ("all", "all", 3, (0, 1, 2)),
        ("wind", "wind", 1, (1,)),
        (" Wind;A dog  barking", "Wind; A dog  barking", 2, (1, 2)),
        ("a dog barking;rain", "a dog barking; rain", 2, (2, 0)),
    ],
)
def test_a_choice_is_read_kept_and_made(text: str, same: str, count: int, indices: tuple[int, ...] | None) -> None:
    choice = Targets.parse(text)
    assert str(choice) == same
    assert Targets.parse(same) == choice
    choice.refuse_for(explainer())
    assert (choice.count(LABELS), choice.indices(LABELS)) == (count, indices)
    assert ContentConfig(targets=text).targets == same


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("topk:0", "topk: takes a whole number from 1 on, as in topk:3, got '0'"),
        ("topk:-1", "got '-1'"),
        ("topk:many", "got 'many'"),
        ("topk:", "got ''"),
        ("", "a target without a name in ''"),
        ("rain; ", "a target without a name in 'rain;'"),
        ("rain; wind; rain", "given twice: 'rain'"),
        ("s3://bucket/labels.CSV", "'s3://bucket/labels.CSV' is a table, and a table of labels is for --labels"),
        (
            "labels.jsonl",
            r"--labels; --targets says which classes are explained",
        ),
    ],
)
def test_what_is_no_choice_is_refused_by_the_settings(text: str, said: str) -> None:
    with pytest.raises(ValidationError, match=said) as caught:
        ContentConfig(targets=text)
    assert [issue["loc"] for issue in caught.value.errors()] == [("targets",)]


@pytest.mark.parametrize(
    ("text", "settings", "said"),
    [
        (
            "rain; fish",
            {},
            "^'fish': no class of the explainer 'birds', which has rain, wind, a dog barking; give",
        ),
        ("Rainy", {}, "^'Rainy': no class"),
        ("rain; wind; Rain", {}, "one class of 'birds', given twice: 'rain', 'Rain'$"),
        ("topk:4", {}, "has 3 classes, got 'topk:4': give topk:3 at most, or all"),
        ("all", {"evidence": 0}, "'birds' has one mask for all classes, so that targets must be top1, got 'all'"),
        ("rain", {"evidence": 0}, "one mask for all classes, so that targets must be top1, got 'rain'"),
    ],
)
def test_what_an_explainer_cannot_explain_is_refused(text: str, settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Targets.parse(text).refuse_for(explainer(**settings))


def test_the_decision_can_always_be_explained() -> None:
    Targets.parse("top1").refuse_for(explainer(evidence=0))
    Targets.parse("topk:1").refuse_for(explainer(evidence=0))


def test_of_many_labels_a_few_are_shown() -> None:
    many = tuple(f"label {number}" for number in range(527))
    with pytest.raises(ValueError, match=r"which has label 0, .*, label 11 and 515 more; give") as caught:
        Targets.parse("fish").refuse_for(explainer(labels=many))
    assert len(str(caught.value)) < 400
