"""What an audit asks, of what, and by which bounds."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from schemas.audit_tables import KINDS, Kind
from schemas.input_config import InputConfig


class AuditConfig(InputConfig):
    """Settings of an audit.

    `labels` is a table of ground truth that takes the place of the labels in the run; the settings that say how it is
    read are those of all commands. `kinds` are the questions that are asked. `group_by` are columns of the recordings'
    metadata whose values are groups, `split` is the column that says to which split a recording belongs.
    `trained_on` says whether the classifier was trained on these very recordings: `no` lets its own probabilities
    judge labels, else probes judge them that have not heard the recording. `input_url` is the run's input, from which
    sound is read again; `explainer` the one that the run was made with, by default the one saved with it. With
    `confirm`, cues are taken out of recordings and put into others, and classified again. `reviewed` is a table of
    marks that a person made in a report. `seed` draws samples and folds.
    """

    kinds: tuple[Kind, ...] = KINDS
    group_by: tuple[str, ...] = ()
    split: str | None = None
    trained_on: Literal["yes", "no", "unknown"] = "unknown"
    input_url: str | None = None
    explainer: str | None = None
    confirm: bool = False
    reviewed: str | None = None
    seed: Annotated[int, Field(ge=0)] = 0

    @field_validator("kinds", mode="before")
    @classmethod
    def _known_kinds(cls, kinds: Any) -> Any:
        named = list(kinds) if isinstance(kinds, (list, tuple)) else [kinds]
        if unknown := [one for one in named if one not in KINDS]:
            raise ValueError(f"{unknown[0]!r} is not known: choose from {', '.join(KINDS)}")
        if not named:
            raise ValueError(f"nothing is asked: name some of {', '.join(KINDS)}")
        return named

    @model_validator(mode="after")
    def _sound_to_confirm_with(self) -> AuditConfig:
        if self.confirm and self.input_url is None:
            raise ValueError(
                "confirm takes cues out of recordings and needs their sound: pass the run's input, --input"
            )
        return self
