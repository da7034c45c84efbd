from __future__ import annotations

import pytest
from pydantic import ValidationError

from schemas.evaluation_config import EvaluationConfig
from schemas.evaluation_tables import SCORES, SPECTRAL, TABLES, WRITTEN
from schemas.tables import FAITHFULNESS


def test_every_column_is_described_and_stands_once_in_its_table() -> None:
    for name, schema in TABLES.items():
        assert len(set(schema.names)) == len(schema.names), name
        assert all((field.metadata or {}).get(b"description") for field in schema), name


def test_what_is_scored_of_the_written_audio_is_scored_of_the_spectrum() -> None:
    assert {name.removesuffix("_audio") for name in WRITTEN} <= set(SPECTRAL)
    assert {*SPECTRAL, *WRITTEN} <= set(SCORES.names)


@pytest.mark.parametrize("budgets", [(0.5, 0.01), (0.01, 0.01, 0.5), (0.02, 0.5), (0.01, 0.2)])
def test_budgets_grow_and_reach_over_the_areas(budgets: tuple[float, ...]) -> None:
    for name in ("bins", "energy"):
        with pytest.raises(ValidationError, match=f"{name} must"):
            EvaluationConfig.model_validate({name: budgets})


@pytest.mark.parametrize("wrong", [{"bins": (0.01, 0.5, 1.5)}, {"limit": 0}, {"methods": ()}, {"metods": ("all",)}])
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        EvaluationConfig.model_validate(wrong)


def test_every_score_says_its_name_in_print_and_which_way_is_better() -> None:
    for name in (*SPECTRAL, *WRITTEN):
        metadata = SCORES.field(name).metadata
        assert metadata[b"title"]
        of_neither = name in ("p", "mask_mean", "energy_kept")
        assert metadata.get(b"better") in ((None,) if of_neither else (b"higher", b"lower")), name


def test_a_score_means_what_it_means_in_a_run() -> None:
    for field in FAITHFULNESS:
        if field.name in SCORES.names and field.name != "target":
            assert SCORES.field(field.name).metadata == field.metadata, field.name
