"""Sounds of which some are copies, and windows that hold them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.audit.duplicates.recorded_windows import RecordedWindows


def rain(seconds: float, seed: int, rate: int = 8000) -> NDArray[np.float32]:
    """Stationary noise that falls towards high frequencies: another for each seed, of the same spectrum."""
    white = np.random.default_rng(seed).standard_normal(round(seconds * rate))
    return (0.1 * np.convolve(white, [0.5, 0.3, 0.2], "same")).astype(np.float32)


def barks(seconds: float, seed: int, rate: int = 8000) -> NDArray[np.float32]:
    """Bursts of noise and a falling tone over a quiet background, at places of their own for each seed."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(seconds * rate)) / rate
    sound = 0.001 * rng.standard_normal(len(t))
    for start in rng.uniform(0, seconds, 4):
        envelope = np.where(t > start, np.exp(-(t - start) * 12), 0)
        tone = np.sin(2 * np.pi * rng.uniform(300, 1500) * (t - 0.2 * t**2 / seconds))
        sound += 0.3 * envelope * (tone + 0.5 * rng.standard_normal(len(t)))
    return sound.astype(np.float32)


def delayed(sound: NDArray[np.float32], samples: float) -> NDArray[np.float32]:
    """A sound moved by a number of samples that need not be whole, in a circle."""
    turn = np.exp(-2j * np.pi * np.fft.rfftfreq(len(sound)) * samples)
    return np.fft.irfft(np.fft.rfft(sound) * turn, len(sound)).astype(np.float32)


def windows_of(recordings: list[int], splits: list[str | None] | None = None) -> RecordedWindows:
    """Windows of 1 s, so many for each recording, all of different sounds."""
    recording = np.repeat(np.arange(len(recordings)), recordings)
    place = np.concatenate([np.arange(count) for count in recordings])
    names = [f"r{number}" for number in range(len(recordings))]
    clip_ids = [names[number] for number in recording]
    return RecordedWindows(
        window_ids=[f"{clip_id}-{number}" for clip_id, number in zip(clip_ids, place, strict=True)],
        clip_ids=clip_ids,
        start_s=place.astype(float),
        duration_s=np.ones(len(place)),
        recording=recording,
        clip=recording,
        sound=np.arange(len(place)),
        heard=np.ones(len(place), bool),
        names=names,
        splits=splits or [None] * len(recordings),
        labels=[()] * len(recordings),
    )
