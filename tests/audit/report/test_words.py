"""Scores in words, and data as scripts: what is said and what is not."""

from __future__ import annotations

import json
import re

import pytest

from pipeline.audit.questions import question
from pipeline.audit.report.audit_read import effect_in_words
from pipeline.audit.report.data_files import script_of
from pipeline.audit.report.words import KEPT, REST, SURE, WRITTEN, in_words, percent, warnings

GOOD = {"p": 0.97, "p_in": 0.95, "p_out": 0.03, "energy_kept": 0.09, "fid_in": 1.0, "p_in_audio": 0.94}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({}, "keeps 9% of the sound; the classifier is as sure as before; without it the call drops from 0.97 to 0.03"),
        ({"p_in": 0.5}, "the classifier is less sure (0.97 to 0.50)"),
        ({"p_in": 0.2, "fid_in": 0.0}, "(0.97 to 0.20), and calls it something else"),
        ({"p": 0.6, "p_in": 0.9}, "the classifier is surer than before (0.60 to 0.90)"),
        ({"p_out": 0.95}, "without it the call stays, from 0.97 to 0.95"),
        ({"p": 0.4, "p_in": 0.4, "p_out": 0.7}, "without it the call rises from 0.40 to 0.70"),
        ({"energy_kept": 0.001}, "keeps less than 1% of the sound"),
        ({"energy_kept": 1.0}, "keeps all of the sound; the classifier is as sure as before"),
        ({"p": 0.9999, "p_in": 0.9999, "p_out": 0.0001}, "drops from over 0.99 to under 0.01"),
    ],
)
def test_scores_in_words(change: dict[str, float], words: str) -> None:
    assert words in in_words({**GOOD, **change})


def test_a_good_explanation_has_no_warning_and_each_fault_has_its_own() -> None:
    assert warnings(GOOD) == []
    assert warnings({**GOOD, "p_in_audio": None}) == []
    (stands,) = warnings({**GOOD, "p_out": 0.9})
    assert "stands without the kept part (0.90)" in stands
    (falls,) = warnings({**GOOD, "p_in": 0.4, "p_in_audio": 0.4})
    assert "falls to 0.40" in falls
    (other,) = warnings({**GOOD, "p_in_audio": 0.31})
    assert "The kept part to hear is not what was scored: classified again it gives 0.31" in other
    (removed,) = warnings({**GOOD, "p_out_audio": 0.5})
    assert "The removed part to hear is not what was scored: classified again it gives 0.50" in removed
    (unsure,) = warnings({**GOOD, "p": 0.15})
    assert "not sure of it (0.15)" in unsure


def test_the_bounds_are_those_of_an_audit() -> None:
    bounds = dict(re.findall(r"([\d.]+) AS (\w+)", question("unfaithful").partition("explained AS")[0]))
    told = {name: float(value) for value, name in bounds.items()}
    assert told == {"sure": SURE, "faithfulness": REST, "kept": KEPT, "written": WRITTEN}


def test_a_share_is_never_rounded_to_all_or_nothing() -> None:
    assert [percent(share) for share in (0.0, 1e-9, 0.5, 0.9999, 1.0)] == [
        "nothing", "less than 1%", "50%", "more than 99%", "all",
    ]  # fmt: skip


def test_an_effect_without_interval_or_test_says_no_more_than_it_knows() -> None:
    row = {"effect": 0.42, "effect_low": None, "effect_high": None, "effect_unit": "drop of p", "p_adjusted": None}
    assert effect_in_words(row) == "0.42 drop of p"
    assert effect_in_words({**row, "effect": None}) == ""
    part = {"effect": 0.025, "effect_low": 0.0069, "effect_high": 0.0866, "effect_unit": "of all recordings"}
    assert effect_in_words({**row, **part}) == "2.5% (95%: 0.7% to 8.7%) of all recordings"
    assert effect_in_words({**row, "p_adjusted": 1e-9}).endswith("p < 0.001, adjusted")


def test_nothing_in_data_can_end_a_script_or_a_line() -> None:
    data = {"</script><!--": ["\u2028\u2029\x00\U0001f600", "a&b>'\"\\"], "none": float("nan"), "third": 1 / 3}
    script = script_of("000", data)
    text = script.decode("ascii")
    assert not set("<>&") & set(text)
    assert text.count("\n") == 1
    body = text.removeprefix('lmac("000",').removesuffix(");\n")
    assert json.loads(body) == {**data, "none": None, "third": 0.3333}
