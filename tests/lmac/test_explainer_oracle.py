"""What an explanation must be where the mask is known."""

from __future__ import annotations

import io

import numpy as np
import pytest
import soundfile
import torch
from torch import Tensor

from pipeline.audio.flac import encode_flac
from pipeline.audio.pcm import round_to_pcm
from pipeline.lmac.masking import to_pcm_grid
from tests.lmac.fakes import everything, nothing, oracle_explainer
from tests.models.make import FRONT_END, noise, tone

N = FRONT_END.window_samples
SOUND = round_to_pcm(noise(1, N, amplitude=0.15).numpy()[0])[None]


@pytest.mark.parametrize("domain", ["magnitude", "log1p"])
def test_a_mask_of_ones_gives_the_input_back_and_leaves_nothing(domain: str) -> None:
    got = oracle_explainer(everything, domain).explain_windows(SOUND)
    np.testing.assert_array_equal(got.masked_in, SOUND)
    assert not got.masked_out.any()
    assert got.scores["ad"].item() == pytest.approx(0, abs=1e-2)
    assert got.scores["ad_audio"].item() == pytest.approx(0, abs=1e-1)
    assert got.scores["fid_in"].item() == got.scores["fid_in_audio"].item() == 1
    assert got.scores["mask_mean"].item() == 1
    assert got.scores["energy_kept"].item() == pytest.approx(1, abs=1e-4)
    assert got.scores["sps"].item() == pytest.approx(0, abs=1e-5)


def test_an_empty_mask_leaves_the_input_and_keeps_nothing() -> None:
    got = oracle_explainer(nothing).explain_windows(SOUND)
    assert not got.masked_in.any()
    np.testing.assert_array_equal(got.masked_out, SOUND)
    assert got.scores["ff"].item() == pytest.approx(0, abs=1e-5)
    assert got.scores["keep"].item() == 1
    assert got.scores["energy_kept"].item() == 0
    assert got.scores["comp"].item() == 0


def below_2_khz(n_freq: int, n_frames: int) -> Tensor:
    return (torch.arange(n_freq)[:, None] * FRONT_END.bin_hz < 2_000).float().expand(n_freq, n_frames)


def test_of_two_tones_the_one_that_the_mask_keeps_is_heard() -> None:
    low, high = tone(500, N, amplitude=0.3).numpy(), tone(5_000, N, amplitude=0.3).numpy()
    got = oracle_explainer(below_2_khz).explain_windows(low + high)
    inner = slice(FRONT_END.n_fft, -FRONT_END.n_fft)  # a tone that is cut off is broad at its ends
    np.testing.assert_allclose(got.masked_in[:, inner], low[:, inner], atol=3e-4)
    np.testing.assert_allclose(got.masked_out[:, inner], high[:, inner], atol=3e-4)
    assert got.scores["energy_kept"].item() == pytest.approx(0.5, abs=0.01)


def test_a_peak_above_full_scale_is_lowered_and_not_clipped() -> None:
    # A square wave of 16 samples a period: its fundamental alone swings higher than the wave does.
    square = 0.99 * np.tile(np.repeat([1.0, -1.0], 8), N // 16)[None].astype(np.float32)
    swing = 0.99 * 4 / 16 / np.sin(np.pi / 16)
    fundamental = swing * np.sin(2 * np.pi * (np.arange(N) + 0.5) / 16)
    assert np.abs(fundamental).max() > 1.2
    got = oracle_explainer(below_2_khz).explain_windows(square)
    assert np.abs(got.masked_in).max() == pytest.approx(32767 / 32768, abs=1e-6)
    gain = 10 ** (got.gain_db_in.item() / 20)
    assert gain < 1 / 1.2
    inner = slice(FRONT_END.n_fft, -FRONT_END.n_fft)  # a tone that is cut off is broad at its ends
    np.testing.assert_allclose(got.masked_in[0, inner], gain * fundamental[inner], atol=0.005)
    back, _ = soundfile.read(io.BytesIO(encode_flac(got.masked_in[0], FRONT_END.sample_rate)), dtype="float32")
    np.testing.assert_array_equal(back, got.masked_in[0])


@pytest.mark.parametrize(("peak", "gain_db"), [(0.5, 0.0), (32767 / 32768, 0.0), (2.0, -6.0209), (-4.0, -12.0415)])
def test_only_what_passes_full_scale_is_lowered_each_waveform_by_its_own(peak: float, gain_db: float) -> None:
    quiet = torch.linspace(-0.25, 0.25, 9)
    sound = torch.stack([quiet, quiet / 0.25 * abs(peak) * (1 if peak > 0 else -1)])
    grid, gain = to_pcm_grid(sound)
    assert gain.tolist() == pytest.approx([0.0, gain_db], abs=1e-3)
    assert torch.equal(grid * 32768, (grid * 32768).round())
    torch.testing.assert_close(grid[0], quiet, atol=0.51 / 32768, rtol=0)
    torch.testing.assert_close(grid[1], sound[1] * 10 ** (gain_db / 20), atol=2 / 32768, rtol=0)
