"""Each kind of event is, by measurement, what it is named after."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.datasets.scenes.scene import CLASSES, EVENT_SYNTHESISERS

RATE = 32000
SEEDS = range(8)


def event(kind: str, seed: int, seconds: float = 3.0) -> np.ndarray:
    signal = EVENT_SYNTHESISERS[kind](np.random.default_rng(seed), int(seconds * RATE), RATE)
    return signal / np.sqrt(np.mean(signal**2))


def spectrogram(signal: np.ndarray) -> np.ndarray:
    """Power [n_frames, n_bins] with bins of 31.25 Hz and frames 10 ms apart."""
    frames = np.lib.stride_tricks.sliding_window_view(signal, 1024)[::320]
    return np.abs(np.fft.rfft(frames * np.hanning(1024))) ** 2


def crest_db(signal: np.ndarray) -> float:
    return float(20 * np.log10(np.abs(signal).max() / np.sqrt(np.mean(signal**2))))


def flatness(power: np.ndarray) -> float:
    return float(np.exp(np.mean(np.log(power))) / np.mean(power))


def share(signal: np.ndarray, low_hz: float, high_hz: float) -> float:
    power = np.abs(np.fft.rfft(signal)) ** 2
    frequencies = np.fft.rfftfreq(signal.size, 1 / RATE)
    return float(power[(frequencies >= low_hz) & (frequencies <= high_hz)].sum() / power.sum())


@pytest.mark.parametrize("kind", CLASSES)
@pytest.mark.parametrize("seconds", [0.4, 1.0, 4.0])
def test_every_event_is_finite_sounds_and_starts_and_ends_softly(kind: str, seconds: float) -> None:
    for seed in SEEDS:
        signal = event(kind, seed, seconds)
        assert signal.shape == (int(seconds * RATE),)
        assert np.isfinite(signal).all()
        assert abs(signal[0]) < 0.05 * np.abs(signal).max()
        assert abs(signal[-1]) < 0.01 * np.abs(signal).max()


@pytest.mark.parametrize("seed", SEEDS)
def test_a_sirens_pitch_moves_over_a_third_of_an_octave(seed: int) -> None:
    strongest = spectrogram(event("siren", seed))[10:-25].argmax(axis=1) * 31.25
    assert np.percentile(strongest, 95) / np.percentile(strongest, 5) > 1.3
    assert 380 < strongest.min() < 1000


@pytest.mark.parametrize("seed", SEEDS)
def test_an_alarm_is_one_steady_pitch_keyed_on_and_off(seed: int) -> None:
    power = spectrogram(event("alarm_beep", seed))
    mean = power.mean(axis=0)
    peak = int(mean.argmax())
    assert 1450 < peak * 31.25 < 4050
    assert mean[peak - 3 : peak + 4].sum() > 0.9 * mean.sum()
    loud = power.sum(axis=1) > 0.25 * power.sum(axis=1).max()
    assert 0.1 < loud.mean() < 0.8
    assert np.abs(np.diff(loud.astype(int))).sum() >= 6


@pytest.mark.parametrize("seed", SEEDS)
def test_birds_whistle_between_2_and_8_khz_in_short_notes(seed: int) -> None:
    signal = event("bird_chirp", seed)
    power = spectrogram(signal)
    assert share(signal, 1700, 8300) > 0.9
    loud = power[power.sum(axis=1) > 0.3 * power.sum(axis=1).max()]
    assert np.median([flatness(frame + 1e-9) for frame in loud]) < 0.05
    assert len(loud) < 0.8 * len(power)


@pytest.mark.parametrize("seed", SEEDS)
def test_ticks_are_impulses_an_even_time_apart(seed: int) -> None:
    signal = event("clock_tick", seed)
    assert crest_db(signal) > 18
    assert share(signal, 1500, 8000) > 0.8
    envelope = np.abs(signal).reshape(-1, 160).max(axis=1)  # 5 ms
    starts = np.flatnonzero(envelope > 0.3 * envelope.max())
    starts = starts[np.diff(starts, prepend=-100) > 10] * 0.005
    gaps = np.diff(starts)
    assert len(gaps) >= 4
    assert np.ptp(gaps) < 0.012


@pytest.mark.parametrize("seed", SEEDS)
def test_knocks_are_low_blows_that_die_at_once(seed: int) -> None:
    signal = event("knock", seed)
    assert crest_db(signal) > 12
    assert share(signal, 60, 1000) > 0.8
    level = np.abs(signal).reshape(-1, 320).max(axis=1)
    assert (level < 0.1 * level.max()).mean() > 0.3


@pytest.mark.parametrize("seed", SEEDS)
def test_barks_are_separate_harmonic_bursts(seed: int) -> None:
    signal = event("dog_bark", seed)
    assert share(signal, 200, 4000) > 0.9
    level = np.abs(signal).reshape(-1, 320).max(axis=1)
    assert 0.1 < (level < 0.02 * level.max()).mean() < 0.8
    loudest = spectrogram(signal).sum(axis=1).argmax() * 320
    burst = signal[loudest : loudest + 2048] * np.hanning(2048)
    correlation = np.fft.irfft(np.abs(np.fft.rfft(burst, 4096)) ** 2)[: RATE // 150]
    lags = slice(RATE // 1100, None)  # pitches of 150-1100 Hz
    assert correlation[lags].max() > 0.25 * correlation[0]


@pytest.mark.parametrize("seed", SEEDS)
def test_an_engine_hums_low_on_many_close_lines_without_a_break(seed: int) -> None:
    signal = event("engine", seed)
    assert share(signal, 20, 1500) > 0.9
    level = np.sqrt(np.mean(signal.reshape(-1, 3200) ** 2, axis=1))[3:-3]
    assert level.min() > 0.4 * level.max()


@pytest.mark.parametrize("seed", SEEDS)
def test_rain_is_broad_between_1_and_8_khz_and_patters(seed: int) -> None:
    signal = event("rain", seed)
    power = spectrogram(signal).mean(axis=0)
    assert flatness(power[40:240]) > 0.7  # 1.25-7.5 kHz; a tone has next to none
    assert share(signal, 800, 9000) > 0.85
    steady = signal[RATE : 2 * RATE]
    kurtosis = np.mean(steady**4) / np.mean(steady**2) ** 2
    assert kurtosis > 3.2  # Gaussian noise has 3: drops stand out


@pytest.mark.parametrize("seed", SEEDS)
def test_wind_is_low_noise_that_swells(seed: int) -> None:
    signal = event("wind", seed)
    assert share(signal, 50, 1500) > 0.85
    level_db = 20 * np.log10(np.sqrt(np.mean(signal.reshape(-1, 3200) ** 2, axis=1))[5:-5])
    assert np.ptp(level_db) > 4


@pytest.mark.parametrize("seed", SEEDS)
def test_a_bell_is_struck_and_rings_on_inharmonic_partials(seed: int) -> None:
    signal = event("bell", seed)
    power = np.abs(np.fft.rfft(signal * np.hanning(signal.size))) ** 2
    strong = np.sort(power)[::-1]
    assert strong[:400].sum() > 0.9 * power.sum()  # of 48,001 bins
    ticks = np.abs(signal).reshape(-1, 320).max(axis=1)
    assert ticks[:10].max() > 0.5 * ticks.max()
