from __future__ import annotations

import inspect
from collections.abc import Callable

import pytest
import torch
from torch import Generator, Tensor

from pipeline.models.frontend import FrontEnd
from pipeline.training.augment import (
    add_noise,
    augment_magnitude,
    augment_waveform,
    augmented_magnitude,
    drop,
    mixture,
    mixup,
    random_gain,
    roll_in_time,
    silence,
    stretch,
)
from schemas.training_config import AugmentConfig, DecoderTraining
from tests.flow.make import FRONT_END
from tests.models.make import noise, tone

WAVEFORMS = noise(8, 400)
MAGNITUDES = noise(8, 65, 40).abs()
OFF = AugmentConfig(roll=False, mixup=0, silence=0, gain_db=0, noise=0, stretch=0, drop_bands=0, drop_spans=0)

CHANGES: dict[str, tuple[Callable[[Tensor, Generator], Tensor], Tensor]] = {
    "roll": (roll_in_time, WAVEFORMS),
    "gain": (lambda x, rng: random_gain(x, 6.0, rng), WAVEFORMS),
    "noise": (lambda x, rng: add_noise(x, 1.0, rng), WAVEFORMS),
    "mixture": (lambda x, rng: mixture(x, 1.0, 6.0, rng), WAVEFORMS),
    "stretch": (lambda x, rng: stretch(x, 0.15, rng), MAGNITUDES),
    "drop": (lambda x, rng: drop(x, 2, 2, rng), MAGNITUDES),
    "waveform": (lambda x, rng: augment_waveform(x, torch.eye(8), AugmentConfig(), rng)[0], WAVEFORMS),
    "magnitude": (lambda x, rng: augment_magnitude(x, AugmentConfig(), rng), MAGNITUDES),
}


def rng(seed: int = 0) -> Generator:
    return torch.Generator().manual_seed(seed)


def rms(x: Tensor) -> Tensor:
    return x.square().mean(dim=1).sqrt()


def decibels(ratio: Tensor) -> Tensor:
    return 20 * ratio.log10()


@pytest.mark.parametrize("name", CHANGES)
def test_the_generator_alone_decides_and_sizes_are_kept(name: str) -> None:
    change, x = CHANGES[name]
    torch.manual_seed(1)
    first = change(x, rng(7))
    torch.manual_seed(2)
    again = change(x, rng(7))
    assert first.shape == x.shape
    assert torch.equal(first, again)
    assert not torch.equal(first, x)
    assert not torch.equal(first, change(x, rng(8)))


def test_everything_off_changes_nothing() -> None:
    target = torch.eye(8)
    waveform, same = augment_waveform(WAVEFORMS, target, OFF, rng())
    assert torch.equal(waveform, WAVEFORMS)
    assert torch.equal(same, target)
    assert torch.equal(augment_magnitude(MAGNITUDES, OFF, rng()), MAGNITUDES)


def test_rolling_rotates_and_loses_nothing() -> None:
    rolled = roll_in_time(torch.arange(12.0).expand(5, 12), rng())
    assert ((rolled.diff(dim=1) == 1).sum(dim=1) >= 10).all()
    assert (rolled.sort(dim=1).values == torch.arange(12.0)).all()
    assert len({int(row[0]) for row in rolled}) > 1


def test_gain_stays_within_its_decibels() -> None:
    change = decibels(rms(random_gain(noise(200, 50), 6.0, rng())) / rms(noise(200, 50)))
    assert change.abs().max() <= 6.0 + 1e-4
    assert change.min() < -4
    assert change.max() > 4


def test_mixup_blends_targets_as_it_blends_sound() -> None:
    sources = torch.eye(8)  # each waveform is its own axis: weights can be read off the mix
    mixed, target = mixup(sources, sources, 1.0, rng())
    torch.testing.assert_close(target.sum(dim=1), torch.ones(8))
    torch.testing.assert_close(mixed, target)
    assert (target.diagonal() >= 0.5).all()  # a window stays mostly itself
    assert (target.max(dim=1).values < 1).any()


def test_noise_lies_ten_to_forty_decibels_below() -> None:
    x = noise(200, 4_000, seed=1)
    below = decibels(rms(add_noise(x, 1.0, rng()) - x) / rms(x))
    assert below.min() > -40.5
    assert below.max() < -9.5


def test_noise_touches_the_share_that_is_asked_for() -> None:
    x = noise(400, 20)
    touched = (add_noise(x, 0.3, rng()) != x).any(dim=1).float().mean()
    assert 0.2 < touched < 0.4


def test_no_stretch_is_the_identity() -> None:
    torch.testing.assert_close(stretch(MAGNITUDES, 0.0, rng()), MAGNITUDES, atol=1e-4, rtol=0)


def test_stretching_moves_a_tone_to_a_bin_that_the_pitch_allows_and_keeps_bin_zero() -> None:
    magnitude = torch.zeros(100, 129, 21)
    magnitude[:, 60] = 1.0
    magnitude[:, 0] = 0.5
    out = stretch(magnitude, 0.2, rng())[:, :, 10]  # the middle frame stays within
    peak = out[:, 1:].argmax(dim=1) + 1
    assert peak.min() >= round(60 / 1.2)
    assert peak.max() <= round(60 / 0.8)
    assert peak.float().std() > 3
    torch.testing.assert_close(out[:, 0], torch.full((100,), 0.5), atol=1e-3, rtol=0)


def test_stretching_keeps_the_order_of_events() -> None:
    magnitude = torch.zeros(50, 9, 201)
    magnitude[:, :, 80], magnitude[:, :, 120] = 1.0, 2.0
    out = stretch(magnitude, 0.15, rng())[:, 0]
    late = out.argmax(dim=1)
    early = torch.stack([row[: int(stop) - 10].argmax() for row, stop in zip(out, late, strict=True)])
    gap = (late - early).float()
    assert gap.min() >= 40 / 1.15 - 1.5
    assert gap.max() <= 40 / 0.85 + 1.5


def test_dropping_only_zeroes_whole_bands_and_spans() -> None:
    magnitude = MAGNITUDES + 1
    out = drop(magnitude, 2, 2, rng())
    assert ((out == magnitude) | (out == 0)).all()
    kept = out != 0
    whole = kept.any(dim=2, keepdim=True) & kept.any(dim=1, keepdim=True)
    assert torch.equal(kept, whole)
    assert 0 < (~kept).float().mean() < 0.5


@pytest.mark.parametrize("seed", range(20))
def test_a_mixture_is_of_two_different_windows_within_its_decibels(seed: int) -> None:
    sources = torch.eye(4) * torch.logspace(-2, 0, 4)[:, None]
    mixed = mixture(sources, 1.0, 6.0, rng(seed))
    own = mixed.diagonal()
    torch.testing.assert_close(own, sources.diagonal() / 2**0.5)  # nothing of itself was added
    others = mixed - torch.diag(own)
    assert ((others != 0).sum(dim=1) == 1).all()
    assert decibels(others.sum(dim=1) / own).abs().max() <= 6.0 + 1e-4


def test_a_lone_window_has_nothing_to_be_mixed_with() -> None:
    assert torch.equal(mixture(WAVEFORMS[:1], 1.0, 6.0, rng()), WAVEFORMS[:1])


def test_silence_is_mixed_without_being_blown_up() -> None:
    batch = torch.cat([torch.zeros(1, 400), tone(440, 400)])
    mixed = mixture(batch, 1.0, 6.0, rng())
    assert mixed.isfinite().all()
    assert mixed.abs().max() < 1


def test_a_decoder_is_trained_on_windows_rolled_at_another_level_and_as_drawn() -> None:
    front_end = FrontEnd(FRONT_END)
    windows = noise(4, FRONT_END.window_samples)
    rolled = DecoderTraining(mixtures=0, noise=0, stretch=0, gain_db=0)
    plain, rolled_only = front_end.stft(windows).abs(), augmented_magnitude(windows, front_end, rolled, rng(1))
    assert rolled_only.shape == plain.shape
    assert not torch.allclose(rolled_only, plain)
    torch.testing.assert_close(rolled_only.square().sum((1, 2)), plain.square().sum((1, 2)), rtol=0.05, atol=0)
    changed = augmented_magnitude(windows, front_end, DecoderTraining(mixtures=1, noise=1), rng(1))
    assert not torch.allclose(changed, rolled_only)
    assert torch.equal(changed, augmented_magnitude(windows, front_end, DecoderTraining(mixtures=1, noise=1), rng(1)))


def test_every_change_is_tested_here() -> None:
    from pipeline.training import augment

    public = {name for name, f in inspect.getmembers(augment, inspect.isfunction) if f.__module__ == augment.__name__}
    assert public - set(globals()) == {"uniform", "share_of"}


def test_silenced_windows_are_silent_and_of_no_class() -> None:
    rng = torch.Generator().manual_seed(0)
    waveform, target = torch.ones(200, 8), torch.eye(4).repeat(50, 1)
    quiet, even = silence(waveform, target, 0.25, rng)
    touched = quiet.abs().sum(dim=1) == 0
    assert 30 < int(touched.sum()) < 70
    assert torch.equal(even[touched], torch.full((int(touched.sum()), 4), 0.25))
    assert torch.equal(quiet[~touched], waveform[~touched])
    assert torch.equal(even[~touched], target[~touched])
