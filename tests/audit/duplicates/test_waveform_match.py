"""Which sounds are copies of each other by their waveforms, and which only sound alike."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soxr
from numpy.typing import NDArray

from benchmarks.planted_copies import KINDS, mono, mp3
from pipeline.audit.duplicates.waveform_match import (
    MIN_CORRELATION,
    MIN_DISTINCT,
    MIN_PEAK,
    NO_MATCH,
    RATE,
    Sound,
    match,
)
from tests.audit.duplicates.make import barks, delayed, rain

Make = Callable[[float, int], NDArray[np.float32]]


def noisy(sound: NDArray[np.float32]) -> NDArray[np.float32]:
    noise = np.random.default_rng(9).standard_normal(len(sound)) * 0.1 * sound.std()
    return (sound + noise).astype(np.float32)


CHANGES = {
    "same": lambda sound: sound,
    "softer, polarity turned": lambda sound: -0.05 * sound,
    "constant offset": lambda sound: sound + np.float32(0.2),
    "beginning cut": lambda sound: sound[RATE:],
    "end cut": lambda sound: sound[:-RATE],
    "half a sample later": lambda sound: delayed(sound, 2000.5),
    "noise at 20 dB": noisy,
    "MP3": lambda sound: soxr.resample(mp3(soxr.resample(sound, RATE, 44_100), 44_100, None), 44_100, RATE),  # type: ignore[arg-type]
    "all at once": lambda sound: noisy(delayed(-0.2 * sound[RATE * 3 // 4 :], 0.5)),
}


@pytest.mark.parametrize("make", [rain, barks])
@pytest.mark.parametrize("change", CHANGES)
def test_a_copy_is_one_however_it_was_changed(make: Make, change: str) -> None:
    sound = make(5.0, 1)
    found = match(Sound(sound), Sound(np.asarray(CHANGES[change](sound), np.float32)))
    assert found.is_copy
    assert found.correlation > 0.95


def test_the_lag_leads_from_the_second_to_the_first() -> None:
    sound = rain(5.0, 1)
    assert match(Sound(sound), Sound(sound[4000:])).lag_s == 0.5
    assert match(Sound(sound[4000:]), Sound(sound)).lag_s == -0.5


@pytest.mark.parametrize("make", [rain, barks])
def test_other_sounds_of_one_kind_are_no_copies(make: Make) -> None:
    sounds = [Sound(make(5.0, seed)) for seed in range(12)]
    found = [match(one, other) for number, one in enumerate(sounds) for other in sounds[:number]]
    assert not any(one.is_copy for one in found)


def test_a_tone_that_both_have_makes_no_copy() -> None:
    t = np.arange(5 * RATE) / RATE
    one, other = (np.sin(2 * np.pi * 440 * t + phase).astype(np.float32) for phase in (0, 1))
    assert match(Sound(one), Sound(other)).peak < MIN_PEAK / 3


def test_a_loud_hum_with_harmonics_over_other_sounds_makes_no_copy() -> None:
    t = np.arange(5 * RATE) / RATE
    one, other = (sum(np.sin(2 * np.pi * 50 * k * (t + moved)) / k for k in range(1, 40)) for moved in (0, 0.003))
    found = match(Sound(one.astype(np.float32) + rain(5.0, 1)), Sound(other.astype(np.float32) + rain(5.0, 2)))
    assert found.peak < MIN_PEAK / 2
    assert found.distinct < MIN_DISTINCT


def test_the_same_clock_at_another_time_is_no_copy() -> None:
    tick = rain(0.02, 5)
    sounds = []
    for seed, first in ((1, 400), (2, 2000)):
        pulses = np.zeros(5 * RATE)
        pulses[first :: RATE // 2] = 1
        sounds.append(Sound(np.convolve(pulses, tick, "same").astype(np.float32) + rain(5.0, seed) / 10))
    # Every tick is the same, and half a second behind the last: so many lags do as well as one.
    assert match(*sounds).peak > MIN_PEAK
    assert match(*sounds).distinct < MIN_DISTINCT


def test_too_little_in_common_is_no_copy() -> None:
    sound = rain(8.0, 1)
    assert match(Sound(sound[: 5 * RATE]), Sound(sound[2 * RATE : 7 * RATE])).is_copy
    assert not match(Sound(sound[: 5 * RATE]), Sound(sound[3 * RATE : 8 * RATE])).is_copy


@pytest.mark.parametrize("empty", [np.zeros(0, np.float32), np.zeros(RATE, np.float32), np.full(RATE, 0.5, np.float32)])
def test_what_does_not_sound_matches_nothing(empty: NDArray[np.float32]) -> None:
    assert match(Sound(empty), Sound(rain(1.0, 1))) == NO_MATCH
    assert match(Sound(empty), Sound(empty.copy())) == NO_MATCH


@pytest.mark.slow
def test_real_recordings_match_their_copies_and_no_other_of_their_class(esc10_dir: Path) -> None:
    paths = [
        path for folder in ("001 - Dog bark", "002 - Rain") for path in sorted((esc10_dir / folder).iterdir())[::10]
    ]
    read = [mono(path) for path in paths]
    sounds = [Sound(soxr.resample(sound, rate, RATE)) for sound, rate in read]
    for number, (sound, rate) in enumerate(read):
        for kind, change in KINDS.items():
            copy = Sound(soxr.resample(change(sound, rate, np.random.default_rng(number)), rate, RATE))
            assert [match(one, copy).is_copy for one in sounds] == [one == number for one in range(len(sounds))], kind


def test_two_sounds_cut_together_from_one_are_copies_in_part() -> None:
    shared = rain(2.0, 1)
    one = np.concatenate([rain(1.0, 2), shared, rain(2.0, 3)])
    found = match(Sound(one), Sound(np.concatenate([rain(1.4, 4), shared, rain(1.6, 5)])))
    assert found.is_copy
    assert found.correlation < MIN_CORRELATION
    assert found.agrees_s == pytest.approx(2.0, abs=0.3)
    assert found.lag_s == pytest.approx(-0.4)
    less = shared[: RATE * 3 // 4]
    assert not match(Sound(one), Sound(np.concatenate([rain(1.4, 4), less, rain(2.85, 5)]))).is_copy
