"""A cue is taken out of a sound, and put into others, without touching the rest."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import ellip, sosfiltfilt

from pipeline.audit.shortcuts.cues.background import Background
from pipeline.audit.shortcuts.cues.cue import Cue
from pipeline.audit.shortcuts.cues.cutoff import Cutoff
from pipeline.audit.shortcuts.cues.moments import Edge
from pipeline.audit.shortcuts.cues.spectrum import N_FFT, inverse, transform
from pipeline.audit.shortcuts.cues.tones import Lines, _exact
from tests.audit.shortcuts.sounds import RATE, N, recording, rms, tone

CUES: list[Cue] = [Lines((440.0, 880.0)), Edge(0.05), Edge(0.05, "end"), Background(100, 4000), Cutoff(3000)]


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 40_000))
def test_a_spectrum_goes_there_and_back(n: int) -> None:
    sound = np.random.default_rng(n).standard_normal(n).astype(np.float32)
    assert np.abs(inverse(transform(sound), n) - sound).max() < 1e-5


@pytest.mark.parametrize("cue", CUES, ids=lambda cue: cue.words)
def test_sounds_keep_their_length_and_are_finite(cue: Cue) -> None:
    rng = np.random.default_rng(0)
    for n in (10, 999, N):
        sound, donor = recording(1)[:n], recording(2)
        for one in (cue, cue.elsewhere(rng, RATE)):
            for made in (one.without(sound, RATE), one.within(sound, donor, RATE)) if n == N else ():
                assert made.shape == sound.shape
                assert np.isfinite(made).all()
            assert one.without(sound, RATE).shape == sound.shape


@pytest.mark.parametrize("cue", CUES, ids=lambda cue: cue.words)
def test_a_cue_goes_from_a_donor_of_any_length(cue: Cue) -> None:
    sound, rng = recording(1), np.random.default_rng(0)
    for donor in (recording(2)[: N // 3], np.tile(recording(2), 2)):
        for one in (cue, cue.elsewhere(rng, RATE)):
            assert one.within(sound, donor, RATE).shape == sound.shape


def test_the_last_moment_is_put_at_the_end() -> None:
    donor = recording(2)[: N // 2]
    donor[-200:] = 0.5
    there = Edge(0.05, "end").within(recording(8), donor, RATE) - recording(8)
    assert np.abs(there[-200:]).min() > 0.49
    assert not there[:-2000].any()


@pytest.mark.parametrize("off_hz", [0.0, 2.3])
def test_a_loud_hum_leaves_with_all_its_harmonics(off_hz: float) -> None:
    hum = sum(tone(50.0 * k + off_hz, 0.1 / k) for k in range(1, 11))
    # As the search names them: the middles of bins, which lie as close as bins that a tone occupies.
    lines = Lines(tuple(round(50.0 * k * N_FFT / RATE) * RATE / N_FFT for k in range(1, 11)))
    for seed in range(3):
        clean = 0.1 * recording(seed)
        left = rms(lines.without(clean + hum, RATE) - clean)
        lost = rms(lines.without(clean, RATE) - clean)
        assert left < 0.005 * rms(hum) + lost
        # Where there is nothing else nothing is left, at the ends as well.
        assert np.abs(lines.without(hum, RATE)).max() < 0.003 * np.abs(hum).max()


def test_where_there_is_no_tone_none_is_made_up() -> None:
    click = np.zeros(N, np.float32)
    click[N // 2 : N // 2 + 40] = 0.5
    for hz in (60.0, 200.0, 1000.0):
        off = 1.5 * RATE / N_FFT
        assert hz - off - 0.1 <= _exact(click, (hz,), RATE)[0] <= hz + off + 0.1


def test_a_tone_is_taken_out_and_the_rest_stays() -> None:
    for seed in range(5):
        clean, added = recording(seed), tone(1234.0, 0.02)
        left = (Lines((1234.0,)).without(clean + added, RATE) - clean)[4000 : N - 4000]
        # By the event's own sound in these bins, if there is one.
        assert rms(left) < 0.5 * rms(added)
        assert abs(np.dot(left, added[4000 : N - 4000])) < 0.2 * np.dot(added, added)


def test_a_tone_is_put_in_at_the_donors_level() -> None:
    quiet, donor = recording(4), recording(5) + tone(3000.0, 0.02)
    added = Lines((3000.0,)).within(quiet, donor, RATE) - quiet
    assert rms(added) == pytest.approx(0.02 / np.sqrt(2), rel=0.2)
    # Where there is no tone, none is given.
    assert rms(Lines((3000.0,)).within(quiet, recording(6), RATE) - quiet) < 0.1 * rms(added)


def test_the_first_moment_is_silenced_and_moved() -> None:
    click = recording(7)
    click[:200] = 0.5
    cue = Edge(0.05)
    assert rms(cue.without(click, RATE)[:800]) == 0
    assert np.array_equal(cue.without(click, RATE)[2000:], click[2000:])
    there = cue.within(recording(8), click, RATE) - recording(8)
    assert np.abs(there[:200]).min() > 0.49
    assert not there[2000:].any()
    assert rms(Edge(0.05, "end").without(click, RATE)[-800:]) == 0


def test_steady_noise_goes_and_the_event_stays() -> None:
    rng = np.random.default_rng(0)
    noise = (0.01 * rng.standard_normal(N)).astype(np.float32)
    event = np.zeros(N, np.float32)
    event[8000:12_000] = 0.3 * rng.standard_normal(4000)
    without = Background(50, 7900).without(noise + event, RATE)
    assert rms(without[16_000:]) < 0.4 * rms(noise)
    assert rms(without[8000:12_000] - event[8000:12_000]) < 0.1 * rms(event[8000:12_000])
    assert rms(Background(50, 7900).of(noise, RATE)) > 0.6 * rms(noise)


def test_an_empty_spectrum_is_made_and_filled() -> None:
    full = (0.1 * np.random.default_rng(1).standard_normal(N)).astype(np.float32)
    low = sosfiltfilt(ellip(8, 0.1, 60, 3000, fs=RATE, output="sos"), full).astype(np.float32)
    cue = Cutoff(3000)

    def above(sound: np.ndarray) -> float:
        return float(np.abs(np.fft.rfft(sound))[N * 4000 // RATE :].mean())

    assert above(cue.within(full, low, RATE)) < 0.01 * above(full)
    assert above(cue.without(low, RATE)) == pytest.approx(above(full), rel=0.5)


def test_beside_a_low_pass_stands_a_gap_of_the_same_energy() -> None:
    sound, cue = recording(1), Cutoff(3000)
    for seed in range(5):
        gap = cue.elsewhere(np.random.default_rng(seed), RATE)
        gone, also_gone = (sound - one.within(sound, sound, RATE) for one in (cue, gap))
        assert np.abs(gone - also_gone).max() > 0.001
        # A bin more or less, and no more than there is below the edge.
        assert 0.3 * rms(gone) < rms(also_gone) < 2 * rms(gone)
