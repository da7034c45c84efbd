"""One scene: an event of a known kind, over a background, at a known place and signal-to-noise ratio."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.datasets.scenes.backgrounds import BACKGROUND_SYNTHESISERS, Synthesiser
from pipeline.datasets.scenes.events_impulsive import clock_tick, dog_bark, knock
from pipeline.datasets.scenes.events_noise import rain, wind
from pipeline.datasets.scenes.events_tonal import alarm_beep, bell, bird_chirp, engine, siren
from pipeline.datasets.scenes.synthesis import gain_to, power
from schemas.errors import LmacError

EVENT_SYNTHESISERS: dict[str, Synthesiser] = {
    "siren": siren,
    "dog_bark": dog_bark,
    "bird_chirp": bird_chirp,
    "clock_tick": clock_tick,
    "knock": knock,
    "engine": engine,
    "alarm_beep": alarm_beep,
    "rain": rain,
    "wind": wind,
    "bell": bell,
}
CLASSES: tuple[str, ...] = tuple(EVENT_SYNTHESISERS)
BACKGROUNDS: tuple[str, ...] = tuple(BACKGROUND_SYNTHESISERS)

_MAX_EVENT_SHARE = 0.8  # of the scene, so that some of it is background alone
_LABEL_STREAM = 0x1ABE1  # separates the draw of labels from the draws of scenes


class SceneError(LmacError, ValueError):
    """Scenes cannot be made as configured; the message names the value and what it must be."""


@dataclass(frozen=True)
class SceneConfig:
    """How scenes are drawn; ranges are (low, high), drawn from uniformly.

    `snr_db` is the target's power over the background's within the event's span, `level_dbfs` the RMS of the
    mixture (lowered where its peak would pass 0.98), `event_s` the event's length in seconds, never more than
    0.8 of the scene. Raises SceneError for an empty range or a length that holds no event.
    """

    sample_rate: int = 32000
    duration_s: float = 5.0
    snr_db: tuple[float, float] = (-5.0, 20.0)
    event_s: tuple[float, float] = (1.0, 4.0)
    level_dbfs: tuple[float, float] = (-30.0, -12.0)

    def __post_init__(self) -> None:
        if self.sample_rate < 16000:
            raise SceneError(
                f"sample_rate must be at least 16000 Hz, got {self.sample_rate}: rain and birds reach 8 kHz"
            )
        if self.duration_s < 0.5:
            raise SceneError(f"duration_s must be at least 0.5 s, got {self.duration_s}: an event needs room")
        for name in ("snr_db", "event_s", "level_dbfs"):
            low, high = getattr(self, name)
            if not low <= high:
                raise SceneError(f"{name} must be (low, high) with low <= high, got ({low}, {high})")
        if self.event_s[0] <= 0:
            raise SceneError(f"event_s must be above 0 s, got {self.event_s}")


@dataclass(frozen=True)
class Scene:
    """A rendered scene: float32 [n] waveforms with mixture == target + background, and how it was made.

    `target` is silent outside [onset_s, onset_s + event_s); `snr_db` holds within that span.
    """

    mixture: NDArray[np.float32]
    target: NDArray[np.float32]
    background: NDArray[np.float32]
    sample_rate: int
    label: str
    background_kind: str
    snr_db: float
    onset_s: float
    event_s: float
    index: int
    seed: int


def scene_label(seed: int, index: int) -> str:
    """Return the class of scene `index` of the series `seed`; scenes 10 k to 10 k + 9 have each class once."""
    block, place = divmod(index, len(CLASSES))
    order = np.random.default_rng([seed, block, _LABEL_STREAM]).permutation(len(CLASSES))
    return CLASSES[int(order[place])]


def render_scene(seed: int, index: int, config: SceneConfig | None = None, label: str | None = None) -> Scene:
    """Render scene `index` of the endless series `seed`: the same whatever else is rendered, in any order.

    The class is `scene_label(seed, index)`. Another `label` changes only the event: the kind of background
    and its waveform (up to the gain), the span, the SNR and the level stay the same.

    Raises SceneError for an unknown label or a negative seed or index.
    """
    config = config or SceneConfig()
    if seed < 0 or index < 0:
        raise SceneError(f"seed and index must not be negative, got seed={seed}, index={index}")
    label = scene_label(seed, index) if label is None else label
    if label not in EVENT_SYNTHESISERS:
        raise SceneError(f"unknown label {label!r}: the classes are {', '.join(CLASSES)}")

    placing, sounding, surrounding = np.random.default_rng([seed, index]).spawn(3)
    n = round(config.duration_s * config.sample_rate)
    longest_s = min(config.event_s[1], _MAX_EVENT_SHARE * config.duration_s)
    event_n = round(placing.uniform(min(config.event_s[0], longest_s), longest_s) * config.sample_rate)
    start = int(placing.integers(0, n - event_n + 1))
    span = slice(start, start + event_n)
    snr_db = float(placing.uniform(*config.snr_db))
    level_dbfs = placing.uniform(*config.level_dbfs)
    background_kind = str(placing.choice(BACKGROUNDS))

    background = BACKGROUND_SYNTHESISERS[background_kind](surrounding, n, config.sample_rate)
    event = EVENT_SYNTHESISERS[label](sounding, event_n, config.sample_rate)
    target = np.zeros(n)
    target[span] = event * np.sqrt(power(background[span]) / power(event)) * 10.0 ** (snr_db / 20.0)

    mixture = target + background
    gain = gain_to(mixture, level_dbfs)
    # The rounded sources are summed, so that they add up to the mixture exactly in float32 too.
    target32, background32 = (target * gain).astype(np.float32), (background * gain).astype(np.float32)
    return Scene(
        mixture=target32 + background32,
        target=target32,
        background=background32,
        sample_rate=config.sample_rate,
        label=label,
        background_kind=background_kind,
        snr_db=snr_db,
        onset_s=start / config.sample_rate,
        event_s=event_n / config.sample_rate,
        index=index,
        seed=seed,
    )
