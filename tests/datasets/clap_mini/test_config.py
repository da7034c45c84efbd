from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from schemas.clap_mini_config import ClapMiniRecipe


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"front_end": {"log": "ln"}}, "front_end.log must be 'db', got 'ln'"),
        ({"front_end": {"window_s": 4.0}}, "front_end.window_s be audio.clip_s"),
        ({"training": {"mixtures": 10}}, "mixtures must fill a batch of 32, got 10"),
        ({"training": {"mixture": {"event_s": (1.0, 9.0)}}}, "must lie within the window of 5.0 s"),
        ({"training": {"mixture": {"snr_db": (3.0, 1.0)}}}, "snr_db must be"),
        ({"training": {"no_event": 0.6, "silence": 0.5}}, "add up to at most 1"),
        ({"text": {"hidden": 30}}, "30 hidden channels do not divide among 4 heads"),
    ],
)
def test_a_recipe_that_makes_no_sense_is_refused(settings: dict[str, Any], said: str) -> None:
    whole: dict[str, Any] = ClapMiniRecipe().model_dump()
    for section, values in settings.items():
        whole[section] = {**whole[section], **values}
    if "mixture" in settings.get("training", {}):
        whole["training"]["mixture"] = {
            **ClapMiniRecipe().training.mixture.model_dump(),
            **settings["training"]["mixture"],
        }
    with pytest.raises(ValidationError, match=said):
        ClapMiniRecipe.model_validate(whole)
