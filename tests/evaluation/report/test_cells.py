from __future__ import annotations

import math

import pytest

from pipeline.evaluation.report.cells import figures, number, percent, signed, size, span


def test_what_is_not_known_is_said_so() -> None:
    assert number(None) == number(math.nan) == percent(None) == figures(math.nan) == signed(math.nan) == "n/a"
    assert span(math.nan, 1.0) == ""


def test_zero_has_no_sign() -> None:
    assert number(-0.0001) == signed(0.0001) == signed(-0.0001) == "0.000"


def test_a_difference_shows_its_sign() -> None:
    assert (signed(0.5, 1), signed(-0.5, 1)) == ("+0.5", "-0.5")


def test_an_interval_with_a_sign_is_not_written_with_a_hyphen() -> None:
    assert span(4.1, 8.9, 1) == "4.1-8.9"
    assert span(-0.02, 0.1, 2) == "-0.02 to 0.10"


def test_shares_are_percent() -> None:
    assert (size(0.02), size(0.005), size(0.77), percent(0.104)) == ("2%", "0.5%", "77%", "10.4%")


@pytest.mark.parametrize(("value", "text"), [(0.0, "0"), (0.02134, "0.0213"), (1.2345, "1.23"), (1234.5, "1234")])
def test_seconds_have_three_figures(value: float, text: str) -> None:
    assert figures(value) == text


def test_infinity_is_shown() -> None:
    assert number(-math.inf) == figures(-math.inf) == "-inf"
