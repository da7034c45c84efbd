"""Settings of `lmac layers`."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from schemas.input_config import InputConfig


class LayersConfig(InputConfig):
    """Which recordings are pooled, probed and compared, and how.

    The probes predict the labels. `select` has texts like COLUMN=VALUE,VALUE; `folds` is the number of folds of the
    cross-validation; `group` is a column whose values are never split between training and test folds; `limit` is the
    number of recordings to draw, None for all; `width` is the largest number of pooled features of a layer, above
    which they are projected at random; `seed` seeds everything random.
    """

    select: tuple[str, ...] = ()
    folds: Annotated[int, Field(ge=2)] = 5
    group: str | None = None
    limit: Annotated[int, Field(ge=4)] | None = None
    width: Annotated[int, Field(ge=16)] = 2048
    batch_size: Annotated[int, Field(ge=1)] = 16
    seed: int = 0
