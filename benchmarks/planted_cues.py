"""Cues as they get into datasets: hum, a tone, a click, a low-pass and the noise of a source, from plain to faint."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.signal import ellip, sosfiltfilt

LEVELS = ("plain", "middling", "faint")
# RMS in dBFS; of the click the peak; recordings of ESC-10 lie mostly between -35 and -15.
_DBFS = {
    "hum": (-24.0, -36.0, -48.0),
    "tone": (-32.0, -44.0, -56.0),
    "click": (-3.0, -12.0, -24.0),
    "background": (-30.0, -40.0, -50.0),
}
CUES = ("hum", "tone", "click", "lowpass", "background")
_CUTOFFS = (4000.0, 6000.0, 8000.0)
_COLOUR_HZ = (20, 100, 400, 1500, 5000, 16_000)

Put = Callable[[NDArray[np.float32]], NDArray[np.float32]]


@dataclass(frozen=True)
class Setting:
    """A dataset: which cue is put, at which level, into which share of a class's recordings; None leaves it clean."""

    cue: str | None
    level: str
    share: float
    label: int
    seed: int

    @property
    def held_out(self) -> int:
        """The fold that is not trained on, 1 to 5."""
        return 1 + (self.seed + self.seed // 5) % 5

    @property
    def name(self) -> str:
        """In a few words."""
        return (
            f"{self.cue} {self.level} {self.share:g} class {self.label} seed {self.seed}"
            if self.cue
            else (f"clean seed {self.seed}")
        )


def settings(first: int, planted: int, clean: int, labels: int) -> list[Setting]:
    """So many settings of each sort; cues, levels, shares and classes take turns."""
    every = [(cue, level, share) for share in (1.0, 0.5) for level in LEVELS for cue in CUES]
    found = [
        # Each cue meets half of the classes, and each class some of the cues.
        Setting(*every[number % len(every)], label=(3 * number + number // len(CUES)) % labels, seed=number)
        for number in range(first, first + planted)
    ]
    return [*(Setting(None, "", 0.0, 0, 1000 + first + number) for number in range(clean)), *found]


def cue_of(setting: Setting, n: int, rate: int) -> Put:
    """What puts the cue into a sound `[n]` at a rate in Hz."""
    assert setting.cue is not None
    rng, level = np.random.default_rng(setting.seed), LEVELS.index(setting.level)
    if setting.cue == "lowpass":
        filtering = ellip(8, 0.1, 60, _CUTOFFS[level], fs=rate, output="sos")
        return lambda sound: sosfiltfilt(filtering, sound).astype(np.float32)
    gain = 10 ** (_DBFS[setting.cue][level] / 20)
    if setting.cue == "background":
        hz = np.fft.rfftfreq(n, 1 / rate)
        # The source's own colour; the noise itself is another each time.
        shape = 10 ** (np.interp(np.log(hz + 20), np.log(_COLOUR_HZ), rng.uniform(-20, 0, len(_COLOUR_HZ))) / 20)
        return lambda sound: (
            sound + np.float32(gain) * _unit(np.fft.irfft(np.fft.rfft(rng.standard_normal(n)) * shape, n))
        )
    if setting.cue == "click":
        click = np.float32(gain) * _click(rng, n, rate)
        return lambda sound: sound + click
    tones = np.array([50.0 * k for k in range(1, 8)] if setting.cue == "hum" else [12_000.0])
    # Recordings begin at any moment of a hum.
    return lambda sound: sound + np.float32(gain) * _tones(tones, float(rng.uniform(0, 1)), n, rate)


def _tones(hz: NDArray[np.float64], start_s: float, n: int, rate: int) -> NDArray[np.float32]:
    """Tones, the higher the fainter, of RMS 1, from a moment on."""
    t = start_s + np.arange(n) / rate
    # Phases of their own, the same in each recording but for the moment.
    waves = sum(np.sin(2 * np.pi * one * t + k) / k**0.7 for k, one in enumerate(hz, start=1))
    return _unit(np.asarray(waves))


def _click(rng: np.random.Generator, n: int, rate: int) -> NDArray[np.float32]:
    """A burst of noise that dies away in 20 ms, at the start, of peak 1."""
    length = rate // 50
    burst = rng.standard_normal(length) * np.exp(-6 * np.arange(length) / length)
    made = np.zeros(n, np.float32)
    made[32 : 32 + length] = burst / np.abs(burst).max()
    return made


def _unit(sound: NDArray[np.float64]) -> NDArray[np.float32]:
    return (sound / np.sqrt(np.mean(np.square(sound)))).astype(np.float32)
