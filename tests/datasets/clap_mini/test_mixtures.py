from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.datasets.clap_mini.augment import augmented, with_noise
from pipeline.datasets.clap_mini.mixture_bank import LOG_MELS, draw_mixture, make_mixture_bank
from pipeline.datasets.clap_mini.mixtures import Synthesised, mix, render_mixture
from pipeline.models.frontend import FrontEnd
from pipeline.training.augment import roll_in_time
from schemas.clap_mini_config import MiniTraining, MixtureConfig
from tests.datasets.clap_mini.make import TINY

SHORT = {"sample_rate": 16_000, "duration_s": 1.0, "config": MixtureConfig(event_s=(0.3, 0.8))}
SOURCE = Synthesised(16_000, 16_000, (0.3, 0.8))


def test_the_sources_add_up_to_the_mixture_and_are_as_loud_as_told() -> None:
    for index in range(8):
        mixture = render_mixture(5, index, **SHORT)
        assert np.array_equal(mixture.waveform, mixture.events.sum(axis=0, dtype=np.float32) + mixture.background)
        assert np.abs(mixture.waveform).max() <= 1
        for waveform, event in zip(mixture.events, mixture.contents.events, strict=True):
            assert event.snr_db is not None
            # Its span may begin or end in silence, so only bounds of it are known: 0.3 to 0.8 of the whole.
            ratio = 10 * np.log10(np.mean(waveform**2) / np.mean(mixture.background**2))
            assert event.snr_db - 7 < ratio < event.snr_db + 1


def test_two_events_are_of_different_kinds_and_neither_drowns_the_other() -> None:
    for index in range(20):
        first, second = render_mixture(6, index, **SHORT).contents.events
        assert first.kind != second.kind
        assert first.snr_db is not None
        assert second.snr_db is not None
        assert abs(first.snr_db - second.snr_db) <= 12


def test_a_mixture_does_not_depend_on_what_else_is_rendered() -> None:
    later = render_mixture(5, 3, **SHORT)
    assert np.array_equal(render_mixture(5, 3, **SHORT).waveform, later.waveform)
    assert not np.array_equal(render_mixture(5, 4, **SHORT).waveform, later.waveform)
    assert not np.array_equal(render_mixture(6, 3, **SHORT).waveform, later.waveform)


def test_no_event_and_no_background_is_digital_silence() -> None:
    mixture = mix(SOURCE, 0, False, MixtureConfig(), np.random.default_rng(0))
    assert not mixture.waveform.any()
    assert mixture.contents.events == ()
    assert mixture.contents.background is None


def test_all_sorts_of_mixtures_are_drawn_in_their_shares() -> None:
    training = MiniTraining(mixture=SHORT["config"], two_events=0.5, no_event=0.2, no_background=0.2, silence=0.1)
    rng = np.random.default_rng(0)
    drawn = [draw_mixture(SOURCE, training, rng).contents for _ in range(300)]
    sorts = [(len(contents.events), contents.background is not None) for contents in drawn]
    shares = {sort: sorts.count(sort) / 300 for sort in set(sorts)}
    assert shares[0, False] == pytest.approx(0.1, abs=0.05)
    assert shares[0, True] == pytest.approx(0.2, abs=0.06)
    assert shares[2, True] + shares[2, False] == pytest.approx(0.35, abs=0.08)
    assert shares[1, False] + shares[2, False] == pytest.approx(0.14, abs=0.06)


def test_a_bank_is_rendered_once_and_holds_what_the_front_end_makes_of_its_mixtures(tmp_path: Path) -> None:
    recipe = TINY.model_copy(update={"training": TINY.training.model_copy(update={"mixtures": 12})})
    steps: list[int] = []
    bank = make_mixture_bank(tmp_path, recipe, lambda done, total: steps.append(done))
    assert len(bank) == 12
    mixture = draw_mixture(SOURCE, recipe.training, np.random.default_rng([0, 7]))
    assert bank.contents[7] == mixture.contents
    front_end = FrontEnd(recipe.front_end)
    log_mel = front_end.log_mel(front_end.stft(torch.from_numpy(mixture.waveform)[None]).abs())
    assert (torch.from_numpy(bank.log_mels[[7]]).float() - log_mel).abs().max() < 0.1  # float16 of decibels
    again = make_mixture_bank(tmp_path, recipe, lambda done, total: steps.append(done))
    assert steps == list(range(1, 13))
    assert again.digest == bank.digest


def test_a_bank_of_other_settings_is_rendered_anew(tmp_path: Path) -> None:
    for count in (4, 6):
        recipe = TINY.model_copy(update={"training": TINY.training.model_copy(update={"mixtures": count})})
        assert len(make_mixture_bank(tmp_path, recipe)) == count
    assert (tmp_path / LOG_MELS).stat().st_size == 6 * 51 * 16 * 2


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


WEIGHTS = FrontEnd(TINY.front_end).mel_weights
NOTHING = MiniTraining(gain_db=0, noise=0, drop_bands=0, drop_spans=0)


def test_turning_in_time_loses_nothing() -> None:
    log_mel = torch.randn(3, 51, 16)
    turned = roll_in_time(log_mel, generator())
    assert torch.equal(turned.sort(dim=1).values, log_mel.sort(dim=1).values)
    assert not torch.equal(turned, log_mel)


def test_with_everything_off_only_time_is_turned() -> None:
    log_mel = torch.randn(3, 51, 16) * 10 - 40
    assert torch.allclose(
        augmented(log_mel, WEIGHTS, 1e-10, NOTHING, generator()), roll_in_time(log_mel, generator()), atol=1e-4
    )


def test_what_is_taken_out_is_at_the_floor_and_silence_stays_there() -> None:
    config = MiniTraining(noise=1.0, drop=1.0)
    log_mel = torch.full((2, 51, 16), -30.0)
    log_mel[1] = -100
    found = augmented(log_mel, WEIGHTS, 1e-10, config, generator())
    assert (found[1] == -100).all()
    assert (found[0] == -100).any()
    assert (found[0] > -60).any()


def test_noise_is_as_loud_as_it_should_be() -> None:
    power = torch.zeros(64, 51, 16)
    power[:, 20:30] = 1.0
    added = (with_noise(power, WEIGHTS, 1.0, generator()) - power)[:, 40:].mean(dim=(1, 2))
    below_db = -10 * torch.log10(added / power.mean(dim=(1, 2)))
    assert below_db.min() > 9
    assert below_db.max() < 41
