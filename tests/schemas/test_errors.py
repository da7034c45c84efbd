from __future__ import annotations

import pytest
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from schemas.errors import findings, in_a_line


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid")
    rates: list[int] = []
    low: int = 0
    high: int = 1

    @model_validator(mode="after")
    def _ordered(self) -> Inner:
        if self.low >= self.high:
            raise ValueError("low must be below high")
        return self


class Outer(BaseModel):
    name: str
    inner: Inner = Inner()


def refused(text: str) -> ValidationError:
    with pytest.raises(ValidationError) as caught:
        Outer.model_validate_json(text)
    return caught.value


def test_each_finding_has_its_place_what_is_wanted_and_what_is_there() -> None:
    error = refused('{"name": 3, "inner": {"rates": [1, "x"], "colour": "red"}}')
    name, rate, colour = findings(error)
    assert name == "name: Input should be a valid string, got 3"
    assert rate.startswith("inner.rates.1: Input should be a valid integer")
    assert rate.endswith("got 'x'")
    assert colour == "inner.colour: there is no such field, got 'red'"
    assert in_a_line(error) == f"{name}; {rate}; {colour}"


@pytest.mark.parametrize("text", ["", "{", '{"name": ' * 1000])
def test_what_is_no_json_is_not_shown(text: str) -> None:
    assert in_a_line(refused(text)).startswith("Invalid JSON: ")
    assert len(in_a_line(refused(text))) < 100


def test_a_missing_value_does_not_show_all_the_others() -> None:
    assert in_a_line(refused('{"inner": {"low": 0}}')) == "name: Field required"


def test_a_long_value_is_cut() -> None:
    message = in_a_line(refused('{"name": [' + "1234567, " * 9999 + "1]}"))
    assert message.startswith("name: Input should be a valid string, got [1234567, ")
    assert len(message) < 200


def test_a_rule_between_values_says_where() -> None:
    assert in_a_line(refused('{"name": "x", "inner": {"low": 2}}')).startswith("inner: low must be below high")
