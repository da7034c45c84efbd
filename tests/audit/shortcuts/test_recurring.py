"""What recurs in recordings of a subject is found, and what events have in common is not."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.signal import ellip, sosfiltfilt

from pipeline.audio.signal import measure_signal
from pipeline.audit.shortcuts.cues.background import Background
from pipeline.audit.shortcuts.cues.cutoff import Cutoff
from pipeline.audit.shortcuts.cues.moments import Edge
from pipeline.audit.shortcuts.cues.tones import Lines
from pipeline.audit.shortcuts.recurring import Candidate, recurring
from pipeline.audit.shortcuts.traits import traits_of
from tests.audit.shortcuts.sounds import RATE, N, recording, tone

COUNT = 60
MEMBERS = np.arange(COUNT) < 20
# Every other recording of the subject has the cue.
HAVING = MEMBERS & (np.arange(COUNT) % 2 == 0)


def found_in(sounds: list[NDArray[np.float32]]) -> list[Candidate]:
    traits = [traits_of(sound, RATE) for sound in sounds]
    ends = [measure_signal(sound, RATE, (0.0, RATE / 2)).bandwidth_hz or np.nan for sound in sounds]
    return list(recurring(traits, np.array(ends), MEMBERS, RATE, np.random.default_rng(0)))


def plain() -> list[NDArray[np.float32]]:
    return [recording(seed) for seed in range(COUNT)]


def with_cue(put: dict[int, NDArray[np.float32]]) -> list[NDArray[np.float32]]:
    return [sound + put[number] if number in put else sound for number, sound in enumerate(plain())]


def test_nothing_recurs_in_independent_recordings() -> None:
    assert found_in(plain()) == []


@pytest.mark.parametrize("amplitude", [0.01, 0.001])
def test_a_hum_is_found_with_its_harmonics(amplitude: float) -> None:
    hum = sum(tone(hz, amplitude) for hz in (100.0, 200.0, 300.0))
    first, *_ = found_in(with_cue(dict.fromkeys(np.flatnonzero(HAVING).tolist(), hum)))
    assert isinstance(first.cue, Lines)
    assert np.allclose(sorted(first.cue.hz)[:3], [100, 200, 300], atol=5)
    assert np.array_equal(first.having & MEMBERS, HAVING)


def test_a_click_at_the_start_or_at_the_end_is_found() -> None:
    rng = np.random.default_rng(5)
    for at in ("start", "end"):
        click = np.zeros(N, np.float32)
        place = slice(20, 180) if at == "start" else slice(N - 180, N - 20)
        click[place] = 0.05 * rng.standard_normal(160)
        candidates = found_in(with_cue(dict.fromkeys(np.flatnonzero(HAVING).tolist(), click)))
        edges = [one for one in candidates if isinstance(one.cue, Edge)]
        assert [one.cue.at for one in edges if isinstance(one.cue, Edge)] == [at]
        assert (edges[0].having & HAVING).sum() >= 8


def test_a_low_pass_is_found_at_its_edge() -> None:
    low = ellip(8, 0.1, 60, 3000, fs=RATE, output="sos")
    noisy = [sound + np.float32(0.002) * np.random.default_rng(i).standard_normal(N) for i, sound in enumerate(plain())]
    sounds = [sosfiltfilt(low, one) if HAVING[i] else one for i, one in enumerate(noisy)]
    cutoffs = [one for one in found_in([one.astype(np.float32) for one in sounds]) if isinstance(one.cue, Cutoff)]
    assert len(cutoffs) == 1
    assert isinstance(cutoffs[0].cue, Cutoff)
    assert cutoffs[0].cue.hz == pytest.approx(3000, abs=300)
    # The event of another may happen to end there.
    assert cutoffs[0].having[HAVING].all()
    assert cutoffs[0].having[MEMBERS].sum() <= HAVING.sum() + 2


def test_the_noise_of_one_source_is_found() -> None:
    hz = np.fft.rfftfreq(N, 1 / RATE)
    shape = np.interp(hz, [0, 500, 1500, 4000, 8000], [1, 0.3, 1, 0.1, 0.5])
    noises = {}
    for number in np.flatnonzero(HAVING).tolist():
        noise = np.fft.irfft(np.fft.rfft(np.random.default_rng(number).standard_normal(N)) * shape)
        noises[number] = (0.02 * noise / np.sqrt(np.mean(noise**2))).astype(np.float32)
    backgrounds = [one for one in found_in(with_cue(noises)) if isinstance(one.cue, Background)]
    assert len(backgrounds) == 1
    assert (backgrounds[0].having & HAVING).sum() >= 9
