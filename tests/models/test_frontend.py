from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.explainer_config import FrontEndConfig
from tests.models.make import FRONT_END, front_end, noise, tone

SIZES = [(512, 160), (512, 256), (256, 16), (400, 200), (334, 100), (1024, 400), (128, 64)]


@settings(deadline=None, max_examples=40)
@given(n=st.integers(1, 20_000), size=st.sampled_from(SIZES), seed=st.integers(0, 9))
def test_the_inverse_gives_back_every_sample(n: int, size: tuple[int, int], seed: int) -> None:
    there = front_end(*size)
    waveform = noise(2, n, seed=seed, amplitude=0.3)
    back = there.istft(there.stft(waveform), n)
    assert back.shape == waveform.shape
    assert (back - waveform).abs().max() < 1e-5


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 9_000), st.sampled_from(SIZES))
def test_the_config_knows_the_size_of_the_stft(n: int, size: tuple[int, int]) -> None:
    config = FRONT_END.model_copy(update={"n_fft": size[0], "hop_length": size[1], "window_s": n / 16_000})
    stft = front_end(*size).stft(torch.zeros(1, config.window_samples))
    assert config.window_samples == n
    assert stft.shape == (1, config.n_freq, config.n_frames)


@pytest.mark.parametrize("bin_number", [3, 40, 128, 250])
def test_a_tone_lands_in_its_bin(bin_number: int) -> None:
    stft = front_end().stft(tone(bin_number * FRONT_END.bin_hz, 8_000)).abs()
    inside = stft[0, :, 5:-5]  # frames that overlap an edge hear the onset, not the tone alone
    assert (inside.argmax(dim=0) == bin_number).all()
    # A Hann window's main lobe is four bins wide: nothing worth the name lies outside it.
    beyond = torch.cat([inside[: bin_number - 2], inside[bin_number + 3 :]])
    assert beyond.max() < 1e-3 * inside.max()


def test_frame_t_is_centred_at_t_hops() -> None:
    click = torch.zeros(1, 8_000)
    click[0, 20 * FRONT_END.hop_length] = 1.0
    assert front_end().stft(click).abs()[0].sum(dim=0).argmax() == 20


def slaney_mel(hz: float) -> float:
    """Slaney's scale: linear to 1 kHz, logarithmic above."""
    return hz * 3 / 200 if hz < 1000 else 15 + math.log(hz / 1000) * 27 / math.log(6.4)


def slaney_hz(mel: float) -> float:
    return mel * 200 / 3 if mel < 15 else 1000 * 6.4 ** ((mel - 15) / 27)


@pytest.mark.parametrize("band", [8, 16, 24, 30])
def test_a_tone_in_the_middle_of_a_mel_band_is_loudest_there(band: int) -> None:
    low, high = slaney_mel(FRONT_END.f_min), slaney_mel(FRONT_END.f_max)
    centre = slaney_hz(low + (high - low) * (band + 1) / (FRONT_END.n_mels + 1))
    log_mel = front_end().log_mel(front_end().stft(tone(centre, 8_000)).abs())
    assert (log_mel[0, 5:-5].argmax(dim=1) == band).all()


def test_the_log_mel_of_silence_is_the_floor() -> None:
    log_mel = front_end().log_mel(torch.zeros(2, FRONT_END.n_freq, 4))
    assert log_mel.shape == (2, 4, FRONT_END.n_mels)
    torch.testing.assert_close(log_mel, torch.full_like(log_mel, math.log(FRONT_END.log_floor)))


def test_doubling_the_amplitude_adds_the_log_of_four() -> None:
    magnitude = front_end().stft(noise(1, 8_000, amplitude=0.3)).abs()
    louder = front_end().log_mel(2 * magnitude) - front_end().log_mel(magnitude)
    torch.testing.assert_close(louder.median(), torch.tensor(math.log(4.0)), atol=1e-3, rtol=0)


def test_the_gradient_is_finite_at_silence() -> None:
    magnitude = torch.zeros(1, FRONT_END.n_freq, 3, requires_grad=True)
    front_end().log_mel(magnitude).sum().backward()
    assert magnitude.grad is not None
    assert magnitude.grad.isfinite().all()


@pytest.mark.parametrize("size", [(512, 160, 32), (256, 128, 64), (1024, 400, 64)])
def test_a_constant_mel_map_spreads_to_that_constant_where_it_is_heard(size: tuple[int, int, int]) -> None:
    there = front_end(*size)
    spread = there.spread(torch.full((1, 3, size[2]), 2.5))
    assert spread.shape == (1, size[0] // 2 + 1, 3)
    torch.testing.assert_close(spread[:, there.audible], torch.full_like(spread[:, there.audible], 2.5))
    assert not spread[:, ~there.audible].any()


def test_a_mel_map_spreads_to_the_bins_of_its_filters_only() -> None:
    there = front_end()
    mel_map = torch.zeros(1, 1, FRONT_END.n_mels)
    mel_map[0, 0, 20] = 1.0
    spread = there.spread(mel_map)[0, :, 0]
    assert torch.equal(spread > 0, there.mel_weights[:, 20] > 0)


def test_audible_is_what_lies_between_f_min_and_f_max() -> None:
    config = FrontEndConfig(sample_rate=16_000, n_fft=512, n_mels=16, f_min=1000, f_max=4000, hop_length=160)
    hz = torch.arange(config.n_freq) * config.bin_hz
    audible = type(front_end())(config).audible
    assert torch.equal(audible, (hz > 1000) & (hz < 4000))
