"""Settings of an audit: what it asks, and about which data."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from schemas.audit_tables import KINDS, Kind
from schemas.input_config import InputConfig


class AuditConfig(InputConfig):
    """Settings of an audit.

    `labels` is a table of ground truth that replaces the labels in the run; the settings for reading it are the same
    in all commands. `kinds` are the questions to ask. `group_by` names metadata columns whose values form groups,
    `split` the column with each recording's split. `trained_on` says whether the classifier was trained on these very
    recordings: with `no` its own probabilities may judge labels, else probes that have not learnt from the recording
    judge them. `input_url` is the run's input, from which sound is read again; `explainer` is the one that made the
    run, by default the one saved with it. With `confirm`, cues are taken out of recordings and put into others, and
    the results are classified again. `reviewed` is a table of marks that a person made in a report. `seed` draws
    samples and folds.
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
        if not isinstance(kinds, Iterable):
            raise ValueError(f"must be names of kinds, got {kinds!r}")
        named = [kinds] if isinstance(kinds, str) else list(kinds)
        if unknown := [one for one in named if one not in KINDS]:
            raise ValueError(f"{unknown[0]!r} is not known: choose from {', '.join(KINDS)}")
        if not named:
            raise ValueError(f"nothing is asked: name some of {', '.join(KINDS)}")
        return [kind for kind in KINDS if kind in named]  # in one order, which a set has not

    @model_validator(mode="after")
    def _sound_to_confirm_with(self) -> AuditConfig:
        if self.confirm and self.input_url is None:
            raise ValueError(
                "confirm takes cues out of recordings and needs their sound: pass the run's input, --input"
            )
        return self
