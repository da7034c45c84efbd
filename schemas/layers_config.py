"""Settings of `lmac layers`."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from schemas.input_config import InputConfig


class LayersConfig(InputConfig):
    """Which recordings are pooled, probed and compared, and how.

    The labels are what is probed for; `select` has texts like COLUMN=VALUE,VALUE; `folds` is the number of parts of
    the cross-validation; `group` a column whose values never stand on both sides of it; `limit` the number of
    recordings drawn, None for all; `width` the most pooled features of a layer, wider ones being projected at random;
    `seed` is of everything random.
    """

    select: tuple[str, ...] = ()
    folds: Annotated[int, Field(ge=2)] = 5
    group: str | None = None
    limit: Annotated[int, Field(ge=4)] | None = None
    width: Annotated[int, Field(ge=16)] = 2048
    batch_size: Annotated[int, Field(ge=1)] = 16
    seed: int = 0
