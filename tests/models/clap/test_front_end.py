from __future__ import annotations

import json
from importlib import resources

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.models.clap import laion
from pipeline.models.clap.originals import laion_functions
from pipeline.models.frontend import FrontEnd
from schemas.explainer_config import ExplainerConfig, FrontEndConfig
from tests.models.clap.make import FRONT_END, FUSION_FRONT_END
from tests.models.make import noise, tone

CLAP, FUSION = FrontEnd(FRONT_END), FrontEnd(FUSION_FRONT_END)
BOTH = pytest.mark.parametrize("front_end", [CLAP, FUSION], ids=["slaney", "htk"])


def test_ten_seconds_are_the_1001_frames_that_clap_was_trained_on() -> None:
    assert FRONT_END.n_frames == 1001
    assert CLAP.stft(torch.zeros(1, 480_000)).shape == (1, 513, 1001)


def test_slaney_filters_are_librosas() -> None:
    librosa = pytest.importorskip("librosa")
    theirs = torch.from_numpy(librosa.filters.mel(sr=48_000, n_fft=1024, n_mels=64, fmin=50, fmax=14_000).T)
    torch.testing.assert_close(CLAP.mel_weights, theirs, rtol=1e-5, atol=1e-7)


def test_htk_log_mels_are_those_that_laion_makes_for_fusion() -> None:
    waveform = noise(48_000)
    theirs = laion_functions()["get_mel"](
        waveform,
        {"sample_rate": 48_000, "window_size": 1024, "hop_size": 480, "mel_bins": 64, "fmin": 50, "fmax": 14_000},
    )
    ours = FUSION.log_mel(FUSION.stft(waveform[None]).abs())[0]
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-3)


@pytest.mark.parametrize(("front_end", "truncation"), [(CLAP, "rand_trunc"), (FUSION, "fusion")])
def test_log_mels_are_those_of_transformers_feature_extractor(front_end: FrontEnd, truncation: str) -> None:
    from transformers import ClapFeatureExtractor

    extractor = ClapFeatureExtractor(frequency_min=50, truncation=truncation, max_length_s=1)
    waveform = noise(48_000) + tone(1234.0, 48_000, 48_000)[0]
    theirs = extractor(waveform.numpy().astype(np.float64), sampling_rate=48_000)["input_features"][0][0]
    ours = front_end.log_mel(front_end.stft(waveform[None]).abs())[0]
    torch.testing.assert_close(ours, torch.from_numpy(theirs).float(), rtol=0, atol=1e-3)


@BOTH
@settings(deadline=None, max_examples=20)
@given(n=st.integers(1, 20_000), seed=st.integers(0, 9))
def test_the_inverse_gives_back_every_sample(front_end: FrontEnd, n: int, seed: int) -> None:
    waveform = noise(2, n, seed=seed, amplitude=0.3)
    back = front_end.istft(front_end.stft(waveform), n)
    assert (back - waveform).abs().max() < 1e-5


@BOTH
def test_the_log_mel_of_silence_is_minus_100_db(front_end: FrontEnd) -> None:
    log_mel = front_end.log_mel(torch.zeros(1, 513, 3))
    torch.testing.assert_close(log_mel, torch.full_like(log_mel, -100.0))


@BOTH
def test_doubling_the_amplitude_adds_six_decibels(front_end: FrontEnd) -> None:
    magnitude = front_end.stft(noise(1, 48_000)).abs()
    louder = front_end.log_mel(2 * magnitude) - front_end.log_mel(magnitude)
    torch.testing.assert_close(louder, torch.full_like(louder, 20 * np.log10(2.0)), rtol=0, atol=1e-3)


@BOTH
def test_the_gradient_is_finite_at_silence_and_beside_it(front_end: FrontEnd) -> None:
    for level in (0.0, 1e-9, 1e-5, 1e-3):
        magnitude = torch.full((1, 513, 3), level, requires_grad=True)
        front_end.log_mel(magnitude).sum().backward()
        assert magnitude.grad is not None
        assert magnitude.grad.isfinite().all()


@BOTH
def test_a_constant_mel_map_spreads_to_that_constant_where_it_is_heard(front_end: FrontEnd) -> None:
    spread = front_end.spread(torch.full((1, 3, 64), 2.5))
    heard = spread[:, front_end.audible]
    torch.testing.assert_close(heard, torch.full_like(heard, 2.5))
    hz = torch.arange(513) * FRONT_END.bin_hz
    assert torch.equal(front_end.audible, (hz > 50) & (hz < 14_000))


@BOTH
def test_loudness_in_band_does_not_depend_on_the_level_and_is_none_in_silence(front_end: FrontEnd) -> None:
    magnitude = front_end.stft(noise(1, 9_600, amplitude=0.3)).abs()
    quieter = front_end.loudness_in_band(0.5 * magnitude)
    torch.testing.assert_close(front_end.loudness_in_band(magnitude), quieter, rtol=0, atol=1e-3)
    assert not front_end.loudness_in_band(torch.zeros_like(magnitude))[:, front_end.audible].any()


def test_beyond_its_edges_a_window_is_its_own_mirror_image() -> None:
    click = torch.zeros(1, 9_600)
    click[0, 480] = 1.0  # the mirror image has it as far on the other side of the first frame's centre
    mirrored, silent = CLAP.stft(click), FrontEnd(FRONT_END.model_copy(update={"pad_mode": "constant"})).stft(click)
    torch.testing.assert_close(mirrored[..., 0].real, 2 * silent[..., 0].real, rtol=0, atol=1e-5)
    torch.testing.assert_close(mirrored[..., 1:-1], silent[..., 1:-1], rtol=0, atol=1e-5)


def test_in_double_precision_the_rest_of_a_loud_tone_is_silence() -> None:
    loud = tone(5 * FRONT_END.bin_hz, 48_000, 48_000, 0.9)  # in the middle of a bin, so that none of it leaks
    quiet_bands = FUSION.log_mel(FUSION.stft(loud).abs())[0, 5:-5, 40:]
    single = FrontEnd(FUSION_FRONT_END.model_copy(update={"precision": "single"}))
    assert (quiet_bands <= -99.9).all()
    assert (single.log_mel(single.stft(loud).abs())[0, 5:-5, 40:] > -99.9).any()


def test_laions_front_end_hears_what_laion_cuts_to_16_bits() -> None:
    waveform = noise(9_600, amplitude=0.5)  # some of it beyond full scale
    functions = laion_functions()
    cut = functions["int16_to_float32"](functions["float32_to_int16"](waveform.numpy()))
    ours = FrontEnd(laion.FRONT_END)
    back = ours.istft(ours.stft(waveform[None]), 9_600)[0]
    torch.testing.assert_close(back, torch.from_numpy(cut), rtol=0, atol=1e-5)
    assert (back - waveform.clamp(-1, 1)).abs().max() < 1.1 / 32767


def test_an_explainer_saved_before_there_was_a_choice_hears_as_it_did() -> None:
    text = (resources.files("pipeline.explainers") / "scenes" / "config.json").read_text(encoding="utf-8")
    assert "pad_mode" not in json.loads(text)["front_end"]
    front_end = FrontEnd(ExplainerConfig.model_validate_json(text).front_end)
    magnitude = front_end.stft(noise(1, 32_000)).abs()
    silent = torch.nn.functional.pad(noise(1, 32_000), (512, 512)).unfold(1, 1024, 400) * torch.hann_window(1024)
    torch.testing.assert_close(magnitude, torch.fft.rfft(silent).abs().transpose(1, 2), rtol=0, atol=1e-4)
    mel = magnitude.square().transpose(1, 2) @ front_end.mel_weights
    torch.testing.assert_close(front_end.log_mel(magnitude), torch.log(mel + 1e-5))


def test_an_explainer_saved_before_there_was_a_choice_keeps_the_text_its_digest_is_of() -> None:
    text = (resources.files("pipeline.explainers") / "scenes" / "config.json").read_text(encoding="utf-8")
    config = ExplainerConfig.model_validate_json(text)
    assert json.loads(config.model_dump_json())["front_end"] == json.loads(text)["front_end"]


def test_what_was_chosen_is_written_and_read_again() -> None:
    for config in (FRONT_END, FUSION_FRONT_END, laion.FRONT_END):
        assert FrontEndConfig.model_validate_json(config.model_dump_json()) == config


def test_defaults_are_those_of_the_first_format() -> None:
    plain = FrontEndConfig()
    assert (plain.log, plain.mel_scale, plain.mel_norm) == ("ln", "slaney", "slaney")
    assert (plain.pad_mode, plain.quantised, plain.precision) == ("constant", False, "single")
