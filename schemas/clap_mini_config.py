"""Settings of `train_clap_mini`; the defaults are those of the shipped model."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from schemas.explainer_config import ClapConfig, Config, FrontEndConfig
from schemas.training_config import LoopConfig, Positive, Share, Weight

Count = Annotated[int, Field(ge=1)]
Range = tuple[float, float]


class MiniTextConfig(Config):
    """The text encoder: a small RoBERTa, with a byte-level BPE of at most `vocabulary` tokens.

    `max_tokens` includes the special tokens at either end.
    """

    vocabulary: Annotated[int, Field(ge=300)] = 1000
    hidden: Count = 128
    layers: Count = 2
    heads: Count = 4
    intermediate: Count = 256
    max_tokens: Annotated[int, Field(ge=8)] = 64

    @model_validator(mode="after")
    def _heads_fit(self) -> MiniTextConfig:
        if self.hidden % self.heads:
            raise ValueError(f"the {self.hidden} hidden channels do not divide among {self.heads} heads")
        return self


class MixtureConfig(Config):
    """How mixtures are drawn; ranges are (low, high), drawn from uniformly.

    `event_s` is the length of an event in seconds, `snr_db` its power over the background's while it lasts,
    `level_dbfs` the RMS of the mixture. The second of two events has an SNR within `apart_db` of the first's.
    """

    event_s: Range = (1.0, 4.0)
    snr_db: Range = (-5.0, 20.0)
    level_dbfs: Range = (-30.0, -12.0)
    apart_db: Weight = 12.0

    @model_validator(mode="after")
    def _in_order(self) -> MixtureConfig:
        for name in ("event_s", "snr_db", "level_dbfs"):
            low, high = getattr(self, name)
            if not low <= high:
                raise ValueError(f"{name} must be (low, high) with low <= high, got ({low}, {high})")
        if self.event_s[0] <= 0:
            raise ValueError(f"event_s must be above 0 s, got {self.event_s}")
        return self


class MiniTraining(Config):
    """Contrastive training on `mixtures` that are rendered once, with new captions and augmentation in every epoch.

    `two_events`, `no_event`, `no_background` and `silence` are the shares of mixtures with two events, with the
    background alone, with events alone (as after a good mask) and with nothing at all; without silence in training,
    some prompt would stand for it. `distances` is the share of near or far events whose caption says so. `gain_db` is
    the largest change of level, `noise` the share of mixtures with white noise, `drop` the share from which
    `drop_bands` bands and `drop_spans` spans of up to an eighth each are removed; a larger share delays the audio
    encoder's learning. `stray_words` is the share of captions into which one or two random tokens are inserted, so
    that the encoder learns to ignore unknown words. The text encoder is first trained alone for `text_steps`. The
    temperature that divides similarities is learnt, starting from `start_temperature`.
    """

    loop: LoopConfig = LoopConfig(
        epochs=16, batch_size=32, learning_rate=1e-3, weight_decay=0.02, ema=0.99, keep="last"
    )
    mixtures: Count = 12_000
    mixture: MixtureConfig = MixtureConfig()
    two_events: Share = 0.4
    no_event: Share = 0.12
    no_background: Share = 0.12
    silence: Share = 0.03
    distances: Share = 0.3
    gain_db: Weight = 8.0
    noise: Share = 0.1
    drop: Share = 0.25
    drop_bands: Annotated[int, Field(ge=0)] = 2
    drop_spans: Annotated[int, Field(ge=0)] = 2
    stray_words: Share = 0.3
    text_steps: Annotated[int, Field(ge=0)] = 200
    start_temperature: Positive = 0.07
    validation: Count = 200

    @model_validator(mode="after")
    def _enough_for_a_batch(self) -> MiniTraining:
        if self.mixtures < self.loop.batch_size:
            raise ValueError(f"mixtures must fill a batch of {self.loop.batch_size}, got {self.mixtures}")
        if self.no_event + self.silence > 1:
            raise ValueError(f"no_event and silence must add up to at most 1, got {self.no_event} and {self.silence}")
        return self


class ClapMiniRecipe(Config):
    """Everything that `train_clap_mini` needs: the front end, the two encoders, and the training."""

    front_end: FrontEndConfig = FrontEndConfig(
        # The inverse STFT needs an FFT of at least two hops.
        n_fft=1280,
        hop_length=640,
        log="db",
        log_floor=1e-10,
        pad_mode="reflect",
        precision="double",
        window_s=5.0,
    )
    audio: ClapConfig = ClapConfig(
        image_size=128,
        channels=32,
        depths=(1, 2, 2, 1),
        heads=(2, 4, 8, 8),
        attention_window=4,
        projection=128,
        clip_s=5.0,
    )
    text: MiniTextConfig = MiniTextConfig()
    training: MiniTraining = MiniTraining()

    @model_validator(mode="after")
    def _fits_a_clap_model(self) -> ClapMiniRecipe:
        self.audio.check_front_end(self.front_end)
        # The feature extractor of a ClapModel has no other setting: another value would be lost in the saved model.
        clap = {
            "log": "db",
            "log_floor": 1e-10,
            "mel_scale": "slaney",
            "mel_norm": "slaney",
            "pad_mode": "reflect",
            "precision": "double",
        }
        for name, value in clap.items():
            if getattr(self.front_end, name) != value:
                raise ValueError(f"front_end.{name} must be {value!r}, got {getattr(self.front_end, name)!r}")
        if self.audio.fusion or self.front_end.window_s != self.audio.clip_s:
            raise ValueError(
                f"audio.fusion must be off and front_end.window_s be audio.clip_s, got fusion={self.audio.fusion}, "
                f"{self.front_end.window_s} s and {self.audio.clip_s} s"
            )
        if self.training.mixture.event_s[1] > self.audio.clip_s:
            raise ValueError(
                f"training.mixture.event_s must lie within the window of {self.audio.clip_s} s, "
                f"got {self.training.mixture.event_s}"
            )
        return self
