"""The configuration of an explainer on disk: front end, classifier, decoder, and how its mask is applied."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

EXPLAINER_FORMAT: Literal[1] = 1


class Config(BaseModel):
    """Base of all configurations: unknown fields are refused at the door, values do not change inside."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class FrontEndConfig(Config):
    """STFT and log-mel of the classifier's input; lengths in samples, frequencies in Hz.

    `log_floor` is added to the mel power before the logarithm, with waveforms in [-1, 1].
    """

    sample_rate: Annotated[int, Field(ge=8000, le=192_000)] = 32_000
    n_fft: Annotated[int, Field(ge=128, le=8192, multiple_of=2)] = 1024
    hop_length: Annotated[int, Field(ge=16)] = 400
    n_mels: Annotated[int, Field(ge=16, le=512)] = 64
    f_min: Annotated[float, Field(ge=0)] = 50.0
    f_max: Annotated[float, Field(gt=0)] = 14_000.0
    log_floor: Annotated[float, Field(gt=0)] = 1e-5
    window_s: Annotated[float, Field(gt=0, le=60)] = 5.0

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


class DecoderConfig(Config):
    """The mask decoder: channels per depth, from the log-mel itself down to the deepest representation.

    `evidence` is how many of the deepest representations are given together with what they contribute to the class
    explained, up to all of them, the log-mel itself being the last; with 0 the decoder hears the sound but not the
    question, and has one mask for all classes. With `detail` the mask tells apart the bins of one mel band, by how loud
    each is among them. Before a classifier is known both may be left open (None): a decoder is then `fitted` to it.
    """

    kind: Literal["unet"] = "unet"
    channels: tuple[Channels, ...] | None = (16, 24, 32, 48, 64)
    evidence: Annotated[int, Field(ge=0)] | None = 0
    detail: bool = False

    def fitted(self, depths: int) -> DecoderConfig:
        """The same for a classifier of so many representations: channels for each, evidence of all, if left open."""
        widths = (24, 32, 48, 64, *[96] * depths)[:depths]
        return self.model_copy(
            update={
                "channels": widths if self.channels is None else self.channels,
                "evidence": depths if self.evidence is None else self.evidence,
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
    classifier: Cnn10Config
    decoder: DecoderConfig | None = None
    mask_domain: Literal["magnitude", "log1p"] = "magnitude"

    @model_validator(mode="after")
    def _labels_differ(self) -> ExplainerConfig:
        twice = sorted({label for label in self.labels if self.labels.count(label) > 1})
        if twice:
            raise ValueError(f"labels must differ from each other, these occur twice: {', '.join(twice)}")
        return self
