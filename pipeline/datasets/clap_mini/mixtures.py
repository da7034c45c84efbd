"""Mixtures of up to two events and a background, with every source known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.datasets.clap_mini.contents import Contents, Event
from pipeline.datasets.scenes import BACKGROUNDS, CLASSES
from pipeline.datasets.scenes.backgrounds import BACKGROUND_SYNTHESISERS
from pipeline.datasets.scenes.scene import EVENT_SYNTHESISERS
from pipeline.datasets.scenes.synthesis import Signal, gain_to, power
from schemas.clap_mini_config import MixtureConfig

_STREAM = 0x71ED  # separates mixtures from scenes of the same seed


@dataclass(frozen=True)
class Synthesised:
    """Synthesised sources: events `[m]` of `event_s` seconds, backgrounds `[samples]`."""

    sample_rate: int
    samples: int
    event_s: tuple[float, float]

    def event(self, kind: str, rng: np.random.Generator) -> Signal:
        n = min(round(rng.uniform(*self.event_s) * self.sample_rate), self.samples)
        return EVENT_SYNTHESISERS[kind](rng, n, self.sample_rate)

    def background(self, kind: str, rng: np.random.Generator) -> Signal:
        return BACKGROUND_SYNTHESISERS[kind](rng, self.samples, self.sample_rate)


@dataclass(frozen=True)
class Mixture:
    """Sources `events` `[n_events, n]` and `background` `[n]`, float32, which add up to `waveform` `[n]`."""

    waveform: NDArray[np.float32]
    events: NDArray[np.float32]
    background: NDArray[np.float32]
    contents: Contents


def mix(
    sources: Synthesised, n_events: int, with_background: bool, config: MixtureConfig, rng: np.random.Generator
) -> Mixture:
    """Draw events of different kinds and a background, and mix them. With neither the mixture is digital silence."""
    n = sources.samples
    kinds = [CLASSES[place] for place in rng.choice(len(CLASSES), n_events, replace=False)]
    behind = str(rng.choice(BACKGROUNDS)) if with_background else None
    background = np.zeros(n) if behind is None else sources.background(behind, rng)
    events = np.zeros((n_events, n))
    placed: list[Event] = []
    low, high = config.snr_db
    for number, kind in enumerate(kinds):
        snr_db = float(rng.uniform(low, high))
        # The levels stay close, as an event masked by the other would be in the caption but inaudible.
        low, high = max(low, snr_db - config.apart_db), min(high, snr_db + config.apart_db)
        event = sources.event(kind, rng)
        start = int(rng.integers(0, n - len(event) + 1))
        span = slice(start, start + len(event))
        against = 1.0 if behind is None else power(background[span])
        events[number, span] = event * np.sqrt(against / power(event)) * 10.0 ** (snr_db / 20.0)
        placed.append(Event(kind, None if behind is None else snr_db))
    contents = Contents(tuple(placed), behind)
    level_dbfs = rng.uniform(*config.level_dbfs)
    total = events.sum(axis=0) + background
    if not contents.events and behind is None:
        return Mixture(total.astype(np.float32), events.astype(np.float32), background.astype(np.float32), contents)
    gain = gain_to(total, level_dbfs)
    # The rounded sources are summed, so that they add up to the waveform exactly in float32 too.
    parts, rest = (events * gain).astype(np.float32), (background * gain).astype(np.float32)
    return Mixture(parts.sum(axis=0, dtype=np.float32) + rest, parts, rest, contents)


def render_mixture(
    seed: int,
    index: int,
    *,
    n_events: int = 2,
    sample_rate: int = 32_000,
    duration_s: float = 5.0,
    config: MixtureConfig | None = None,
) -> Mixture:
    """Render mixture `index` of the endless series `seed`, over a background: the same whatever else is rendered."""
    config = config or MixtureConfig()
    sources = Synthesised(sample_rate, round(sample_rate * duration_s), config.event_s)
    return mix(sources, n_events, True, config, np.random.default_rng([seed, index, n_events, _STREAM]))
