"""What an audit asks, of what, and by which bounds."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from schemas.explainer_config import Config


class AuditConfig(Config):
    """Settings of an audit.

    `labels` is a table of ground truth that takes the place of the labels in the run; `group_by` are columns of the
    recordings' metadata whose values are groups, `split` is the column that says to which split a recording belongs.
    `input_url` is the run's input, from which sound is read again; `explainer` the one that the run was made with, by
    default the one saved with it. With `confirm`, cues are taken out of recordings and put into others, and classified
    again. `reviewed` is a table of marks that a person made in a report. `seed` draws samples.
    """

    labels: str | None = None
    group_by: tuple[str, ...] = ()
    split: str | None = None
    input_url: str | None = None
    explainer: str | None = None
    confirm: bool = False
    reviewed: str | None = None
    seed: Annotated[int, Field(ge=0)] = 0
