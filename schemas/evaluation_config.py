"""The configuration of an evaluation: what `lmac evaluate` takes, from `--config` and from its options."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from schemas.explainer_config import Config, Precision
from schemas.input_config import InputConfig

Budget = Annotated[float, Field(gt=0, le=1)]


class SanityConfig(Config):
    """Checks whether a mask depends on what the classifier learnt, and is stable where the sound does not change.

    `windows` are drawn from the clean audio; `methods` are the ones to test, if they are evaluated. `noise_db` is the
    level of white noise below the sound, `gain_db` the change of level, up and down. `shift_frames` is not a multiple
    of the classifier's pooling (16 frames for CNN10), as such a shift would be the easiest of all.
    """

    enabled: bool = True
    windows: Annotated[int, Field(ge=1)] = 40
    methods: tuple[str, ...] = ("lmac",)
    noise_db: float = 40.0
    shift_frames: Annotated[int, Field(ge=1)] = 10
    gain_db: Annotated[float, Field(gt=0)] = 6.0


class EvaluationConfig(InputConfig):
    """The settings of an evaluation; every result depends on these and on the input alone.

    `methods` are baselines by name, or "all" that suit the classifier; the explainer's own decoder is always evaluated,
    as `lmac`. `against` adds decoders of other explainers of the same classifier under new names; `refine` adds the
    decoder's masks improved by that many gradient steps per window. `contaminate` makes more audio from the clean
    audio: `mixture`, `white-noise:DB` or `FOLDER:DB`. `curves` says which audio gets masks of equal size (None: the
    clean audio, and the mixture if it is evaluated); `bins` and `energy` are these sizes, as shares of bins and of
    energy. `limit` is the number of recordings to draw from the input; `resamples` is the number of bootstrap
    resamples. Masks are scored in `precision`, as in a run; attributions are computed in float32.
    """

    explainer: str = "esc10"
    methods: Annotated[tuple[str, ...], Field(min_length=1)] = ("all",)
    against: dict[str, str] = Field(default_factory=dict)
    refine: Annotated[int, Field(ge=1)] | None = None
    select: tuple[str, ...] = ()
    limit: Annotated[int, Field(ge=1)] | None = None
    contaminate: tuple[str, ...] = ("mixture", "white-noise:10")
    curves: tuple[str, ...] | None = None
    bins: Annotated[tuple[Budget, ...], Field(min_length=2)] = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
    energy: Annotated[tuple[Budget, ...], Field(min_length=2)] = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 0.77, 0.9)
    sanity: SanityConfig = SanityConfig()
    resamples: Annotated[int, Field(ge=100)] = 2000
    batch_size: Annotated[int, Field(ge=1, le=256)] = 8
    precision: Precision = "fp32"
    seed: Annotated[int, Field(ge=0)] = 0

    @model_validator(mode="after")
    def _budgets_reach_over_the_areas(self) -> EvaluationConfig:
        for name, budgets in (("bins", self.bins), ("energy", self.energy)):
            if list(budgets) != sorted(set(budgets)):
                raise ValueError(f"{name} must grow from budget to budget, got {budgets}")
            if not {0.01, 0.5} <= set(budgets):
                raise ValueError(f"{name} must hold 0.01 and 0.5, between which areas are taken, got {budgets}")
        return self
