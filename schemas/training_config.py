"""Settings for training classifiers and decoders; the defaults are those of the shipped explainers."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from schemas.explainer_config import Cnn10Config, Config, DecoderConfig, FrontEndConfig

Positive = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Weight = Annotated[float, Field(ge=0)]


class LoopConfig(Config):
    """How long and how fast to train; an epoch is one pass over all windows, except a remainder that fills no batch.

    `patience` is the number of epochs without a better validation score after which training stops, 0 for
    never; `ema` is the decay per step of the averaged weights, which are the ones validated and saved. `keep` chooses
    the epoch whose weights are saved: the `best` by its validation score, or the `last`, whatever its score.
    """

    epochs: Annotated[int, Field(ge=1)] = 60
    batch_size: Annotated[int, Field(ge=2)] = 16
    learning_rate: Positive = 1e-3
    weight_decay: Weight = 1e-2
    warmup: Share = 0.1
    ema: Share = 0.99
    keep: Literal["best", "last"] = "best"
    patience: Annotated[int, Field(ge=0)] = 0
    seed: int = 0
    bf16: bool = True


class AugmentConfig(Config):
    """Augmentation of a classifier's training audio; each setting is off at 0 or false.

    With `roll` each window is rotated in time by a random shift, so that position within a window does not reveal the
    class. `mixup`, `silence` and `noise` are the shares of windows that are changed. A silenced window has
    no class: otherwise one class would stand for silence, and an empty mask would explain it. `gain_db` is the
    largest change of level, `stretch` the largest relative change of tempo and of pitch, `drop_bands` and
    `drop_spans` the number of frequency bands and time spans that are zeroed in the linear magnitude, each up to an
    eighth of it.
    """

    roll: bool = True
    mixup: Share = 0.5
    silence: Share = 0.05
    gain_db: Weight = 10.0
    noise: Share = 0.3
    stretch: Annotated[float, Field(ge=0, lt=0.5)] = 0.15
    drop_bands: Annotated[int, Field(ge=0)] = 2
    drop_spans: Annotated[int, Field(ge=0)] = 2


class ClassifierTraining(Config):
    """Training of a classifier from labelled windows."""

    loop: LoopConfig = LoopConfig(epochs=70, batch_size=8)
    augment: AugmentConfig = AugmentConfig()


class GuidanceConfig(Config):
    """The guidance of L-MAC FT: the mask is pulled to the bins above `threshold` of the window's maximum.

    It applies to windows whose masked-in and whole input have a correlation above `correlation`.
    """

    weight: Weight = 4.0
    correlation: Share = 0.6
    threshold: Share = 0.35


class ObjectiveConfig(Config):
    """The L-MAC objective (Paissan et al. 2024, eq. 3) and the forms its terms may take.

    `masked_out` is the loss of the masked-out side: `cross_entropy` is the paper's -CE, which has no lower bound;
    `log_complement` is -log(1 - p_out), which vanishes once the class is lost. `softness` q turns the losses -log(p) of
    both sides into (1 - p^q) / q, so that hopeless windows do not use up the size that others need; with q = 1 they are
    the drop and the faithfulness themselves. `size` is how the mask is kept small: `mean` is the paper's mean |M|;
    `sum` is that of the reference code, summed over the batch, so that its weight grows with the batch; `hinge` is the
    excess of the batch's mean over `target_mean`, which sets the size itself and lets broad sounds use what narrow
    ones leave. `lambda_e` likewise weights the excess of the share of energy kept over `target_energy`: without it a
    mask keeps what is loud.
    """

    kind: Literal["lmac"] = "lmac"
    lambda_in: Weight = 4.0
    lambda_out: Weight = 0.2
    lambda_s: Weight = 0.4
    lambda_e: Weight = 0.0
    masked_out: Literal["cross_entropy", "log_complement"] = "cross_entropy"
    softness: Share = 0.0
    size: Literal["mean", "sum", "hinge"] = "mean"
    target_mean: Share = 0.12
    target_energy: Share = 0.6
    guidance: GuidanceConfig | None = None


class ZeroShotObjective(Config):
    """The objective of LMAC-ZS (Paissan et al. 2024, arXiv 2405.17615), as in `pipeline.lmac.zero_shot_objective`.

    Each window is explained for `prompts` prompts: a share `fitting` of draws is in proportion to the prompts'
    probabilities, the rest is uniform. `target_mean` is the mean that a mask may have at no cost if its prompt fits as
    well as it ever does, and less if the prompt fits less. `lambda_apart` weights the overlap of two prompts' masks for
    one window, more so the less alike the prompts are.
    """

    kind: Literal["lmac-zs"] = "lmac-zs"
    prompts: Annotated[int, Field(ge=1)] = 2
    fitting: Share = 0.6
    lambda_in: Weight = 4.0
    lambda_out: Weight = 4.0
    lambda_s: Weight = 2.0
    target_mean: Share = 0.0
    lambda_apart: Weight = 2.0


# The objective of the paper's own code, which sums the size term over the batch.
LMAC_REFERENCE = ObjectiveConfig(lambda_in=4.0, lambda_out=0.2, lambda_s=0.4, size="sum")


class DecoderTraining(Config):
    """Training of a mask decoder for a frozen classifier; it needs no labels.

    `mixtures` is the share of windows to which another is added, at a level within `mixture_db` of their own; `noise`
    is the share with white noise, `stretch` the largest relative change of tempo and of pitch. `budgets` is the share
    of windows whose mask is cut at a random size, so that logits are learnt as a ranking: such a mask keeps a share of
    bins within `budget_bins`, or a share of energy within `budget_energy`, for which bins are ranked by their odds per
    energy. `lambda_range` weights the squares of logits beyond ±8, where a sigmoid is flat: without this term they grow
    by thousands and their gradient vanishes. `objective: lmac-reference` sets the terms of the paper's own code, for
    comparison; the whole recipe is docs/lmac-reference.yaml. `objective: lmac-zs` trains a prompted decoder, for a CLAP
    whose classes are prompts; it does not use `budgets`.
    """

    loop: LoopConfig = LoopConfig(epochs=60, batch_size=8, learning_rate=2e-3, weight_decay=0.0, ema=0.98)
    objective: Annotated[ObjectiveConfig | ZeroShotObjective, Field(discriminator="kind")] = ObjectiveConfig(
        lambda_in=1.5,
        lambda_out=2.5,
        lambda_s=20.0,
        lambda_e=10.0,
        masked_out="log_complement",
        softness=0.5,
        size="hinge",
        target_mean=0.115,
        target_energy=0.66,
    )
    mixtures: Share = 0.5
    mixture_db: Weight = 6.0
    gain_db: Weight = 6.0
    noise: Share = 0.0
    stretch: Annotated[float, Field(ge=0, lt=0.5)] = 0.1
    budgets: Share = 0.6
    budget_bins: tuple[Share, Share] = (0.007, 0.3)
    budget_energy: tuple[Share, Share] = (0.3, 0.97)
    lambda_range: Weight = 0.02

    @field_validator("objective", mode="before")
    @classmethod
    def _by_name(cls, value: Any) -> Any:
        if isinstance(value, str):
            named = {"lmac-reference": LMAC_REFERENCE, "lmac-zs": ZeroShotObjective()}
            if value not in named:
                raise ValueError(
                    f"an objective's name is one of {', '.join(named)}, got {value!r}; else give its settings"
                )
            return named[value]
        return {"kind": "lmac", **value} if isinstance(value, dict) else value

    @field_validator("budget_bins", "budget_energy")
    @classmethod
    def _in_order(cls, value: tuple[float, float]) -> tuple[float, float]:
        if not 0 < value[0] <= value[1]:
            raise ValueError(f"must be two shares above 0, the smaller first, got {value}")
        return value


class ClassifierRecipe(Config):
    """Everything that `train_classifier` needs besides the data."""

    name: str = "classifier"
    front_end: FrontEndConfig = FrontEndConfig()
    classifier: Cnn10Config = Cnn10Config()
    training: ClassifierTraining = ClassifierTraining()


class DecoderRecipe(Config):
    """Everything that `train_decoder` needs besides data and classifier; the name is by default the classifier's."""

    name: str | None = None
    decoder: DecoderConfig = DecoderConfig(channels=None, evidence=None, detail=True)
    mask_domain: Literal["magnitude", "log1p"] = "magnitude"
    training: DecoderTraining = DecoderTraining()
