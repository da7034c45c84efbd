"""The configuration of an explainer on disk: front end, classifier, decoder, and how its mask is applied."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer, model_validator

EXPLAINER_FORMAT: Literal[1] = 1
# The precision of a classifier and a decoder between the log-mel and the logits; the rest is always float32.
Precision = Literal["fp32", "bf16"]


class Config(BaseModel):
    """Base of all configurations: unknown fields are refused, and values are immutable."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class FrontEndConfig(Config):
    """STFT and log-mel of the classifier's input; lengths in samples, frequencies in Hz.

    `log` is the natural logarithm of the mel power plus `log_floor` (`ln`), or 10 log10 of the mel power, at least
    `log_floor` (`db`), with waveforms in [-1, 1]. At its edges a window is padded with silence (`pad_mode: constant`)
    or reflected. With `quantised` it is first clipped to full scale and truncated to 16 bits, as laion-clap does. The
    rounding errors of an STFT in `single` precision lie some 100 dB below a loud tone, above a floor of 1e-10;
    transformers computes it in `double`. The defaults are CNN10's; CLAP's differ.
    """

    sample_rate: Annotated[int, Field(ge=8000, le=192_000)] = 32_000
    n_fft: Annotated[int, Field(ge=128, le=8192, multiple_of=2)] = 1024
    hop_length: Annotated[int, Field(ge=16)] = 400
    n_mels: Annotated[int, Field(ge=16, le=512)] = 64
    f_min: Annotated[float, Field(ge=0)] = 50.0
    f_max: Annotated[float, Field(gt=0)] = 14_000.0
    log_floor: Annotated[float, Field(gt=0)] = 1e-5
    log: Literal["ln", "db"] = "ln"
    mel_scale: Literal["slaney", "htk"] = "slaney"
    mel_norm: Literal["slaney", "none"] = "slaney"
    pad_mode: Literal["constant", "reflect"] = "constant"
    quantised: bool = False
    precision: Literal["single", "double"] = "single"
    window_s: Annotated[float, Field(gt=0, le=60)] = 5.0

    @model_serializer(mode="wrap")
    def _written(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # An explainer's digest covers this text: fields added later are written only if they differ from the default.
        later = ("log", "mel_scale", "mel_norm", "pad_mode", "quantised", "precision")
        defaults = {name: type(self).model_fields[name].default for name in later}
        return {name: value for name, value in handler(self).items() if name not in defaults or value != defaults[name]}

    @model_validator(mode="after")
    def _consistent(self) -> FrontEndConfig:
        if self.f_max > self.sample_rate / 2 or self.f_max <= self.f_min:
            raise ValueError(
                f"f_max must lie above f_min ({self.f_min} Hz) and at most at half the sample rate "
                f"({self.sample_rate / 2:.0f} Hz), got {self.f_max} Hz"
            )
        if self.hop_length > self.n_fft // 2:
            raise ValueError(
                f"hop_length must be at most n_fft/2 = {self.n_fft // 2} for the inverse STFT, got {self.hop_length}"
            )
        if self.window_samples < self.hop_length:
            raise ValueError(
                f"window_s must hold at least one hop ({self.hop_length} samples), "
                f"got {self.window_s} s, {self.window_samples} samples"
            )
        return self

    @property
    def n_freq(self) -> int:
        """Number of linear frequency bins."""
        return self.n_fft // 2 + 1

    @property
    def window_samples(self) -> int:
        """Samples of one window."""
        return round(self.window_s * self.sample_rate)

    @property
    def n_frames(self) -> int:
        """STFT frames of one window (centred frames)."""
        return -(-self.window_samples // self.hop_length) + 1

    @property
    def hop_s(self) -> float:
        """Seconds between frames."""
        return self.hop_length / self.sample_rate

    @property
    def bin_hz(self) -> float:
        """Hertz between frequency bins."""
        return self.sample_rate / self.n_fft


Channels = Annotated[int, Field(ge=1)]


class Cnn10Config(Config):
    """PANNs CNN10 (Kong et al. 2020): four blocks of two 3x3 convolutions; `channels` of each block.

    The default is half as wide as the published one (64 to 512), which suits small data and CPUs.
    """

    kind: Literal["cnn10"] = "cnn10"
    channels: tuple[Channels, Channels, Channels, Channels] = (32, 64, 128, 256)
    embedding: Annotated[int, Field(ge=8)] = 256
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1


class ClapConfig(Config):
    """The audio branch of CLAP (Wu et al. 2023, arXiv 2211.06687): HTSAT (Chen et al. 2022, arXiv 2202.00874).

    HTSAT folds the log-mel into a square image of `image_size`, embeds patches of `patch_size` in `channels`, and
    passes them through stages of `depths` blocks with `heads` attention heads, which attend within `attention_window`
    patches; each stage has twice the channels at half the resolution of the one before. A `fusion` checkpoint also has
    weights for long audio, which windows never use. Windows shorter than `clip_s` are repeated up to it (`repeatpad`)
    or padded with silence (`pad`).

    Classes are a `bank` of text embeddings, made from `prompts` and `templates` by the text encoder with the given
    digest, or those of a `linear` head.
    """

    kind: Literal["clap"] = "clap"
    image_size: Annotated[int, Field(ge=16)] = 256
    patch_size: Literal[4] = 4
    channels: Channels = 96
    depths: Annotated[tuple[Channels, ...], Field(min_length=1)] = (2, 2, 6, 2)
    heads: Annotated[tuple[Channels, ...], Field(min_length=1)] = (4, 8, 16, 32)
    attention_window: Annotated[int, Field(ge=1)] = 8
    mlp_ratio: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 4.0
    fusion: bool = False
    projection: Channels = 512
    clip_s: Annotated[float, Field(gt=0)] = 10.0
    short_windows: Literal["repeatpad", "pad"] = "repeatpad"
    head: Literal["bank", "linear"] = "bank"
    prompts: tuple[str, ...] = ()
    templates: tuple[str, ...] = ()
    text_encoder: str = ""

    @model_validator(mode="after")
    def _stages_fit(self) -> ClapConfig:
        if len(self.heads) != len(self.depths):
            raise ValueError(f"depths names {len(self.depths)} stages and heads {len(self.heads)}: give one for each")
        for stage, heads in enumerate(self.heads):
            if self.stage_channels[stage] % heads:
                raise ValueError(
                    f"the {self.stage_channels[stage]} channels of stage {stage + 1} do not divide among {heads} heads"
                )
        smallest, rest = divmod(self.image_size, self.patch_size << (len(self.depths) - 1))
        if rest or smallest < self.attention_window:
            raise ValueError(
                f"an image of {self.image_size} in patches of {self.patch_size} must halve {len(self.depths) - 1} "
                f"times and then still be as large as attention_window, {self.attention_window}"
            )
        return self

    @property
    def stage_channels(self) -> tuple[int, ...]:
        """Channels of each stage of HTSAT."""
        return tuple(self.channels << stage for stage in range(len(self.depths)))

    def check_front_end(self, front_end: FrontEndConfig) -> None:
        """Raise ValueError if a front end does not fit the image or the clip of HTSAT."""
        coarsest = self.patch_size << (len(self.depths) - 1)
        if self.image_size % front_end.n_mels or front_end.n_mels % coarsest:
            raise ValueError(
                f"front_end.n_mels must divide the image of {self.image_size} and be a multiple of {coarsest} "
                f"for this CLAP, got {front_end.n_mels}"
            )
        if front_end.window_s > self.clip_s:
            raise ValueError(
                f"front_end.window_s must be at most the {self.clip_s:g} s that this CLAP takes at once, "
                f"got {front_end.window_s:g} s"
            )
        if round(self.clip_s * front_end.sample_rate) % front_end.hop_length:
            raise ValueError(
                f"the {self.clip_s:g} s that this CLAP takes at once must be a whole number of hops, "
                f"got a hop_length of {front_end.hop_length} at {front_end.sample_rate} Hz"
            )
        longest = self.image_size * self.image_size // front_end.n_mels
        if self.clip_frames(front_end) > longest:
            raise ValueError(
                f"{self.clip_s:g} s are {self.clip_frames(front_end)} frames of the front end, "
                f"and the image of this CLAP holds {longest}"
            )

    def clip_frames(self, front_end: FrontEndConfig) -> int:
        """STFT frames of `clip_s`."""
        return round(self.clip_s * front_end.sample_rate) // front_end.hop_length + 1


class DecoderConfig(Config):
    """The mask decoder: channels per depth, from the log-mel itself down to the deepest representation.

    `evidence` is the number of deepest representations that are passed together with their contribution to the class
    explained, up to all of them, with the log-mel itself as the last; with 0 the decoder does not know the class, and
    has one mask for all classes. With `detail` the mask distinguishes the bins of one mel band by their loudness.
    Before the classifier is known, `channels` and `evidence` may be left open (None); `fitted` then fills them in.

    A `prompted` decoder also takes the text embedding of the prompt, and its evidence is for the prompt's similarity
    alone, independent of other prompts: it explains any prompt (LMAC-ZS). It needs a CLAP with a bank of classes.
    """

    kind: Literal["unet"] = "unet"
    channels: tuple[Channels, ...] | None = (16, 24, 32, 48, 64)
    evidence: Annotated[int, Field(ge=0)] | None = 0
    detail: bool = False
    prompted: bool = False

    @model_serializer(mode="wrap")
    def _written(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # As for the front end: written only if it differs from the default.
        return {name: value for name, value in handler(self).items() if name != "prompted" or value}

    def fitted(self, depths: int, prompted: bool | None = None) -> DecoderConfig:
        """Fit to a classifier with `depths` representations: fill in channels for each, and evidence of all, if open.

        `prompted` replaces the field of that name unless it is None.
        """
        widths = (24, 32, 48, 64, *[96] * depths)[:depths]
        return self.model_copy(
            update={
                "channels": widths if self.channels is None else self.channels,
                "evidence": depths if self.evidence is None else self.evidence,
                "prompted": self.prompted if prompted is None else prompted,
            }
        )

    @model_validator(mode="after")
    def _evidence_has_depths(self) -> DecoderConfig:
        if self.channels is not None and self.evidence is not None and self.evidence > len(self.channels):
            depths = len(self.channels)
            raise ValueError(f"evidence must be at most the number of depths ({depths}), got {self.evidence}")
        return self


class ExplainerConfig(Config):
    """Everything but the weights: an explainer directory holds this as `config.json`.

    `mask_domain` says what the mask multiplies: the linear magnitude |X| or log(1 + |X|).
    """

    format_version: Literal[1] = EXPLAINER_FORMAT
    name: str
    labels: Annotated[tuple[str, ...], Field(min_length=2)]
    front_end: FrontEndConfig
    classifier: Annotated[Cnn10Config | ClapConfig, Field(discriminator="kind")]
    decoder: DecoderConfig | None = None
    mask_domain: Literal["magnitude", "log1p"] = "magnitude"

    @model_validator(mode="after")
    def _clap_fits(self) -> ExplainerConfig:
        if isinstance(self.classifier, ClapConfig):
            self.classifier.check_front_end(self.front_end)
            if self.classifier.prompts and len(self.classifier.prompts) != len(self.labels):
                raise ValueError(
                    f"{len(self.labels)} labels for {len(self.classifier.prompts)} prompts: each prompt is a class"
                )
        return self

    @model_validator(mode="after")
    def _prompted_has_prompts(self) -> ExplainerConfig:
        banked = isinstance(self.classifier, ClapConfig) and self.classifier.head == "bank"
        if self.decoder is not None and self.decoder.prompted and not banked:
            raise ValueError("decoder.prompted needs a CLAP whose classes are prompts: this classifier has no text")
        return self

    @model_validator(mode="after")
    def _labels_differ(self) -> ExplainerConfig:
        twice = sorted({label for label in self.labels if self.labels.count(label) > 1})
        if twice:
            raise ValueError(f"labels must differ from each other, these occur twice: {', '.join(twice)}")
        return self
