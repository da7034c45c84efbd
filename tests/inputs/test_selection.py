from __future__ import annotations

import pytest

from pipeline.inputs.selection import SelectionError, describe, parse_selection, selected

ROWS = ({"fold": 1}, {"fold": "2", "take": "A"}, {"fold": 2, "take": "B"}, {})


def test_selections_are_read_as_written() -> None:
    assert parse_selection(["fold=1, 2", "take=A", "fold=4"]) == {"fold": ["1", "2", "4"], "take": ["A"]}


@pytest.mark.parametrize("text", ["fold", "=1", "fold=", " = "])
def test_a_selection_of_another_form_is_named(text: str) -> None:
    with pytest.raises(SelectionError, match=f"'{text}' selects nothing: write COLUMN=VALUE"):
        parse_selection([text])


def test_a_selection_is_of_recordings_that_have_one_of_the_values_in_every_column() -> None:
    assert selected(ROWS, {"fold": ["2"]}) == [1, 2]
    assert selected(ROWS, {"fold": ["1", "2"], "take": ["B"]}) == [2]
    assert describe({"fold": ["1", "2"], "take": ["B"]}) == "fold is one of 1, 2 and take is one of B"


def test_a_selection_that_leaves_nothing_says_so() -> None:
    with pytest.raises(SelectionError, match="no recording is left of 4 where fold is one of 7"):
        selected(ROWS, {"fold": ["7"]})
    with pytest.raises(SelectionError, match=r"no recording has a column 'colour'.*fold.*take"):
        selected(ROWS, {"colour": ["red"]})
