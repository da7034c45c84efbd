from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from torch import Tensor

from pipeline.evaluation.contaminate import (
    Audio,
    Contamination,
    at_snr,
    contaminated_audio,
    mixture,
    parse_contamination,
)
from pipeline.evaluation.names import EvaluationError
from pipeline.inputs.window_set import WindowSet
from tests.evaluation.make import noise_windows
from tests.models.make import FRONT_END, noise, tone

N = FRONT_END.window_samples


def rms(waveform: Tensor) -> Tensor:
    return waveform.square().mean(dim=-1).sqrt()


def contaminated(text: str, windows: WindowSet, tmp_path: Path, seed: int = 0) -> Audio:
    return contaminated_audio(parse_contamination(text), windows, windows.labels, FRONT_END, tmp_path, seed)


def test_a_mixture_is_four_parts_of_the_one_and_one_of_the_other_whatever_their_levels() -> None:
    one, other = tone(1000, N, amplitude=0.5), tone(3000, N, amplitude=0.001)
    mixed = mixture(one, other)
    parts = [(mixed * part).sum() / part.square().sum() * rms(part) for part in (one, other)]
    assert (parts[0] / parts[1]).item() == pytest.approx(4, rel=1e-3)


def test_a_mixture_is_as_loud_as_what_it_is_made_of() -> None:
    one = noise(3, N, amplitude=0.02)
    assert torch.allclose(rms(mixture(one, noise(3, N, seed=1))), rms(one), rtol=1e-4)


def test_silence_mixed_with_anything_stays_silence() -> None:
    assert not mixture(torch.zeros(1, N), noise(1, N)).any()
    assert not at_snr(torch.zeros(1, N), noise(1, N), 0.0).any()


def test_sound_mixed_with_silence_is_the_sound() -> None:
    one = noise(1, N)
    assert torch.allclose(mixture(one, torch.zeros(1, N)), one, atol=1e-6)


@pytest.mark.parametrize("snr_db", [-5.0, 0.0, 10.0, 40.0])
def test_noise_lies_as_far_below_as_asked(snr_db: float) -> None:
    one = tone(440, N)
    added = at_snr(one, noise(1, N), snr_db) - one
    assert 20 * torch.log10(rms(one) / rms(added)).item() == pytest.approx(snr_db, abs=0.01)


def test_nothing_is_mixed_with_itself_or_its_own_class(tmp_path: Path) -> None:
    windows = noise_windows(recordings=9)
    audio = contaminated("mixture", windows, tmp_path)
    everything = torch.arange(len(windows))
    clean, mixed = windows.waveforms(everything), audio.waveforms(everything)
    # What is left once the window itself is taken out is its partner.
    level = (mixed * clean).sum(dim=1, keepdim=True) / clean.square().sum(dim=1, keepdim=True)
    rest = mixed - level * clean
    alike = (rest / rms(rest)[:, None]) @ (clean / rms(clean)[:, None]).T / N
    partner = alike.argmax(dim=1)
    assert (alike.amax(dim=1) > 0.9).all()
    for window, other in enumerate(partner.tolist()):
        a, b = windows.recording_index[window], windows.recording_index[other]
        assert a != b
        assert windows.labels[a] != windows.labels[b]


def test_clips_without_labels_are_mixed_with_any_other(tmp_path: Path) -> None:
    windows = noise_windows(recordings=2, labels=(None,))
    assert contaminated("mixture", windows, tmp_path).waveforms(torch.arange(4)).shape == (4, N)


def test_a_mixture_of_one_class_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match="'recording-0' cannot be mixed: there is no recording with another"):
        contaminated("mixture", noise_windows(recordings=3, labels=("a",)), tmp_path)


@pytest.mark.parametrize("text", ["mixture", "white-noise:10"])
def test_a_window_is_contaminated_alike_in_any_batch_and_another_seed_does_otherwise(text: str, tmp_path: Path) -> None:
    windows = noise_windows()
    first, again, other = (contaminated(text, windows, tmp_path, seed) for seed in (0, 0, 1))
    everything = torch.arange(len(windows))
    assert torch.equal(first.waveforms(everything)[[4, 1]], again.waveforms(torch.tensor([4, 1])))
    assert not torch.equal(first.waveforms(everything), other.waveforms(everything))
    assert first.digest == again.digest != other.digest


def test_white_noise_does_not_depend_on_which_clips_are_evaluated(tmp_path: Path) -> None:
    windows = noise_windows()
    part = contaminated("white-noise:0", windows.recordings([3]), tmp_path).waveforms(torch.tensor([1]))
    whole = contaminated("white-noise:0", windows, tmp_path).waveforms(torch.tensor([7]))
    assert torch.equal(part, whole)


def test_every_window_gets_noise_of_its_own(tmp_path: Path) -> None:
    windows = noise_windows()
    everything = torch.arange(len(windows))
    added = contaminated("white-noise:0", windows, tmp_path).waveforms(everything) - windows.waveforms(everything)
    alike = (added / rms(added)[:, None]) @ (added / rms(added)[:, None]).T / N
    assert (alike - torch.eye(len(windows))).abs().max() < 0.1


def test_a_folder_gives_stretches_of_its_clips(tmp_path: Path) -> None:
    hum = tmp_path / "hum"
    hum.mkdir()
    soundfile.write(hum / "low.wav", tone(200, 3 * N)[0].numpy(), FRONT_END.sample_rate)
    windows = noise_windows()
    everything = torch.arange(len(windows))
    audio = contaminated(f"{hum}:-20", windows, tmp_path / "scratch")
    assert audio.name == "hum -20 dB"
    spectrum = torch.fft.rfft(audio.waveforms(everything)).abs()
    assert (spectrum.argmax(dim=1) * FRONT_END.sample_rate / N).tolist() == pytest.approx([200] * len(windows), abs=2)


def test_a_folder_of_silence_is_refused(tmp_path: Path) -> None:
    (tmp_path / "quiet").mkdir()
    soundfile.write(tmp_path / "quiet" / "none.wav", np.zeros(N), FRONT_END.sample_rate)
    audio = contaminated(f"{tmp_path / 'quiet'}:0", noise_windows(), tmp_path / "scratch")
    with pytest.raises(EvaluationError, match="silent almost everywhere"):
        audio.waveforms(torch.tensor([0]))


def test_names_say_what_and_how_loud() -> None:
    assert parse_contamination("mixture") == Contamination("mixture")
    assert parse_contamination("white-noise:10") == Contamination("white-noise 10 dB", None, 10.0)
    assert parse_contamination("s3://bucket/rain/:-2.5") == Contamination("rain -2.5 dB", "s3://bucket/rain/", -2.5)


@pytest.mark.parametrize("text", ["whale", "white-noise", "white-noise:loud", ":3", "white-noise:nan", "folder:"])
def test_anything_else_is_refused_with_what_to_write(text: str) -> None:
    with pytest.raises(EvaluationError, match="write mixture, white-noise:DB or FOLDER:DB"):
        parse_contamination(text)
