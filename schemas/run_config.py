"""The configuration of a run: what `lmac explain` takes, from `--config run.yaml` and from its options."""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

from pydantic import Field, field_validator

from schemas.draws import Draw, Sample
from schemas.explainer_config import Config, Precision
from schemas.input_config import InputConfig
from schemas.targets import Targets

# Masks that are explained, held and written as one.
PART_MASKS = 4096
# As many as a recording may have.
MAX_CHANNELS = 64
Side = Literal["masked_in", "masked_out"]
SIDES: tuple[Side, ...] = get_args(Side)
_SIDES = {
    "masked_in": ("masked_in",),
    "masked_out": ("masked_out",),
    "both": SIDES,
    "none": (),
}


class DecodingConfig(Config):
    """How recordings become windows.

    `damaged` recordings are used as far as they can be heard, or refused; `channel` is `mix` (the mean of all), the
    number of one from 1 on, or `each`, where every channel counts as a recording. `window_hop_s` is the step between
    windows of a long recording, by default the window's length; the rest at a recording's end gets a window if it is at
    least `min_tail` of a window long, else it is recorded as `unheard_s`. A recording longer than `max_clip_seconds` is
    an error; by default there is no limit.
    """

    damaged: Literal["use", "refuse"] = "use"
    channel: str = "mix"
    window_hop_s: Annotated[float, Field(gt=0)] | None = None
    min_tail: Annotated[float, Field(ge=0, le=1)] = 0.5
    max_clip_seconds: Annotated[float, Field(gt=0)] | None = None

    @field_validator("channel", mode="before")
    @classmethod
    def _channel_is_readable(cls, channel: Any) -> str:
        text = str(channel).strip().lower()
        if text in ("mix", "each"):
            return text
        if not text.isdecimal() or not 1 <= int(text) <= MAX_CHANNELS:
            raise ValueError(f"expected mix, each, or a channel's number from 1 to {MAX_CHANNELS}, got {channel!r}")
        return str(int(text))


class ContentConfig(InputConfig, DecodingConfig):
    """Everything that decides the contents of the tables; two runs on one output must agree on it.

    `refine` is a number of gradient steps that improve each mask for its own window; each step costs several times as
    much as an explanation. `listenables` are the sides that are written as FLAC, as a list or by one of the words
    `masked_in`, `masked_out`, `both`, `none`, for the windows that `listen` draws:
    `all`, `none`, `share:P` of them, or `per-target:K` of each target. `masks` draws the windows whose masks are
    stored: `all`, `none` or `share:P`; `audio_scores` likewise draws the windows whose written audio is classified
    again, which takes two of a window's seven passes. All other scores and the profiles are written for every window.
    `precision` is what the models compute in: `bf16` is faster on GPUs, and on CPUs that support it.
    `targets` says which classes of a window get a mask: `top1` (the decision), `topk:K`, `all`, or names separated by
    semicolons. `prompts`, in `templates` or else the explainer's, are other classes for an explainer whose decoder
    takes prompts; `classifier` says where its CLAP is, for the text encoder, if that does not come with the
    explainer. The labels of recordings reach the column `label_true`. `sample` limits the run to a number of
    recordings, or a share of them, drawn by their ids.
    """

    explainer: str = "esc10"
    mask: Literal["soft", "binary"] = "soft"
    precision: Precision = "fp32"
    refine: Annotated[int, Field(ge=0, le=1000)] = 0
    listenables: tuple[Side, ...] = ("masked_in",)
    listen: str = "all"
    masks: str = "all"
    audio_scores: str = "all"
    targets: str = "top1"
    classifier: str | None = None
    prompts: str | None = None
    templates: tuple[str, ...] | None = None
    sample: str | None = None
    part_windows: Annotated[int, Field(ge=1, le=PART_MASKS)] = 128
    files_per_shard: Annotated[int, Field(ge=1)] = 64

    @field_validator("listenables", mode="before")
    @classmethod
    def _sides_by_a_word(cls, sides: Any) -> Any:
        if isinstance(sides, str):
            if sides not in _SIDES:
                raise ValueError(f"expected {', '.join(_SIDES)}, or a list of sides, got {sides!r}")
            return _SIDES[sides]
        return sides

    @field_validator("targets")
    @classmethod
    def _targets_are_readable(cls, targets: str) -> str:
        # One spelling of each choice, as two runs on one output are compared by it.
        return str(Targets.parse(targets))

    @field_validator("sample", mode="before")
    @classmethod
    def _sample_is_readable(cls, sample: Any) -> Any:
        return None if sample is None else str(Sample.parse(str(sample)))

    @field_validator("listen")
    @classmethod
    def _listen_is_readable(cls, listen: str) -> str:
        return str(Draw.parse(listen))

    @field_validator("masks", "audio_scores")
    @classmethod
    def _draw_by_window_is_readable(cls, draw: str) -> str:
        return str(Draw.parse(draw, per_target=False))


class ClusterConfig(Config):
    """Where a run runs, and on how many actors; changing it changes no more of a table than the last bits.

    Those differ with the device, the size of a batch and `compile`, which commits record.
    `address` joins a running Ray cluster ("auto" or host:port), None starts a local one. `actors` None is one per
    GPU, or what the CPUs allow; `cpus_per_actor` None is one beside a GPU, else an equal share of the CPUs, at most
    four. `streams_per_actor` shards are decoded at once for each actor; None is one, or beside a GPU as many as
    there are CPUs, at most eight. With `compile` each actor compiles the networks first, which takes minutes, for
    each size of a batch: for long runs on GPUs. `trace` is a file on this machine that says where the time went,
    for Perfetto.
    """

    address: str | None = None
    actors: Annotated[int, Field(ge=1)] | None = None
    device: Literal["auto", "cpu", "cuda"] = "auto"
    cpus_per_actor: Annotated[int, Field(ge=1)] | None = None
    streams_per_actor: Annotated[int, Field(ge=1, le=64)] | None = None
    batch_size: Annotated[int, Field(ge=1, le=1024)] = 16
    attempts: Annotated[int, Field(ge=1)] = 3
    compile: bool = False
    trace: str | None = None


class RunConfig(Config):
    """A run: content and cluster."""

    content: ContentConfig = ContentConfig()
    cluster: ClusterConfig = ClusterConfig()
