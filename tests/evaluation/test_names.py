from __future__ import annotations

import pytest

from pipeline.attribution.baselines import BASELINES
from pipeline.evaluation.names import EvaluationError, known_name, printed, same_name


@pytest.mark.parametrize("name", BASELINES)
def test_every_baseline_is_known_as_it_is_printed(name: str) -> None:
    for written in (name, printed(name), printed(name).title(), name.replace("_", "-").upper()):
        assert known_name(written, BASELINES, "--methods") == name


def test_an_unknown_name_is_refused_with_all_that_are_known() -> None:
    with pytest.raises(EvaluationError, match=r"^--methods: 'lime' is not known: choose from saliency, energy$"):
        known_name("lime", ["saliency", "energy"], "--methods")


def test_a_minus_is_no_hyphen_and_a_point_no_space() -> None:
    assert same_name("white-noise 10 dB", "White noise 10 dB")
    assert not same_name("rain -5 dB", "rain 5 dB")
    assert not same_name("rain 0.5 dB", "rain 05 dB")
    assert same_name("lmac_refine_10", "lmac-refine-10")


def test_a_name_that_means_two_is_refused_unless_it_is_one_of_them() -> None:
    both = ["Rain 0 dB", "rain 0 dB"]
    assert known_name("rain 0 dB", both, "--curves") == "rain 0 dB"
    with pytest.raises(EvaluationError, match="choose from Rain 0 dB, rain 0 dB"):
        known_name("RAIN 0 dB", both, "--curves")
