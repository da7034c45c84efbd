from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from pipeline.models.build import build_decoder
from pipeline.models.decoder import Decoder, Upsample
from schemas.explainer_config import DecoderConfig
from tests.models.make import CONFIG, FRONT_END, front_end, noise, small_models

CNN, DECODER = small_models()
CHANNELS = CNN.representation_channels


def representations(frames: int, mels: int = FRONT_END.n_mels, seed: int = 0) -> list[Tensor]:
    """Random representations of a spectrogram of `frames`."""
    sizes = [(frames, mels)]
    for _ in CHANNELS[1:]:
        sizes.append((-(-sizes[-1][0] // 2), -(-sizes[-1][1] // 2)))
    return [noise(1, CHANNELS[d], *size, seed=seed + d, amplitude=1.0) for d, size in enumerate(sizes)]


def silent(frames: int) -> Tensor:
    """A magnitude that a decoder without detail does not look at."""
    return torch.zeros(1, FRONT_END.n_freq, frames)


@settings(deadline=None, max_examples=30)
@given(frames=st.integers(1, 70), n_fft=st.sampled_from([256, 334, 512, 1024]), mels=st.sampled_from([16, 32, 37]))
def test_the_mask_has_the_size_of_the_magnitude_and_names_nothing_inaudible(frames: int, n_fft: int, mels: int) -> None:
    there = front_end(n_fft, 100, mels)
    decoder = Decoder(CONFIG.decoder or DecoderConfig(), there, CHANNELS)
    mask = decoder.mask(representations(frames, mels), noise(1, n_fft // 2 + 1, frames))
    assert mask.shape == (1, n_fft // 2 + 1, frames)
    assert ((mask >= 0) & (mask <= 1)).all()
    assert not mask[:, ~there.audible].any()
    assert (mask[:, there.audible] > 0).all()


@settings(deadline=None, max_examples=20)
@given(st.integers(2, 70), st.integers(0, 5))
def test_the_last_frame_is_made_and_not_repeated(frames: int, seed: int) -> None:
    mask = DECODER.mask(representations(frames, seed=10 * seed), silent(frames))[0]
    assert (mask[:, -1] - mask[:, -2]).abs().max() > 1e-4
    assert mask[DECODER.front_end.audible, -1].std() > 1e-5


@pytest.mark.parametrize("depth", range(5))
def test_a_local_change_moves_the_mask_at_its_own_time(depth: int) -> None:
    before = representations(320)
    after = [r.clone() for r in before]
    cell = after[depth].shape[2] // 2
    after[depth][:, :, cell] += 3.0
    difference = (DECODER.mask(before, silent(320)) - DECODER.mask(after, silent(320)))[0].abs().amax(dim=0)
    low = high = cell
    # From here to the surface: interpolation reaches one cell beyond, two convolutions two more.
    if depth < 4:
        low, high = low - 2, high + 2
    for _ in range(depth):
        low, high = 2 * low - 3, 2 * high + 4
    moved = (difference > 0).nonzero()[:, 0]
    assert low <= int(moved.min())
    assert int(moved.max()) <= high
    assert cell << depth in moved
    strongest = int(difference.argmax())
    assert (cell << depth) - (2 << depth) <= strongest <= ((cell + 1) << depth) + (2 << depth)


def test_what_comes_later_is_explained_later() -> None:
    sound = noise(1, FRONT_END.n_freq, 320, amplitude=5.0).abs()
    shift, edge = 32, 128  # a multiple of all strides; beyond the edges' reach
    with torch.no_grad():
        first = DECODER.mask(CNN(sound).representations, sound)
        later = DECODER.mask(CNN(sound.roll(shift, dims=2)).representations, sound.roll(shift, dims=2))
    torch.testing.assert_close(later[:, :, edge + shift : -edge], first[:, :, edge : -edge - shift], atol=1e-5, rtol=0)
    assert first.std(dim=2).max() > 1e-3


def test_upsampling_starts_as_linear_interpolation_along_both_axes() -> None:
    time, mel = torch.arange(9.0)[:, None], torch.arange(6.0)[None]
    out = Upsample(2)((3 * time + mel).expand(1, 2, 9, 6).contiguous(), (18, 12))[0]
    # Cell i covers what becomes 2i and 2i + 1: their centres lie a quarter of a cell to either side.
    fine_time, fine_mel = (torch.arange(18.0)[:, None] - 0.5) / 2, (torch.arange(12.0)[None] - 0.5) / 2
    wanted = (3 * fine_time + fine_mel).expand(2, 18, 12)
    torch.testing.assert_close(out[:, 1:-1, 1:-1], wanted[:, 1:-1, 1:-1])


@pytest.mark.parametrize("size", [(2, 2), (1, 2), (1, 1), (13, 8), (14, 7)])
def test_upsampling_keeps_a_constant_to_its_very_edge(size: tuple[int, int]) -> None:
    coarse = torch.full((1, 1, -(-size[0] // 2), -(-size[1] // 2)), 0.7)
    torch.testing.assert_close(Upsample(1)(coarse, size), torch.full((1, 1, *size), 0.7))


def test_a_decoder_of_another_depth_than_the_classifier_is_refused() -> None:
    config = CONFIG.model_copy(update={"decoder": DecoderConfig(channels=(4, 4))})
    with pytest.raises(ValueError, match="names 2 depths, the classifier has 5"):
        build_decoder(config, CNN)


def test_a_configuration_without_decoder_builds_none() -> None:
    with pytest.raises(ValueError, match="'small' has a classifier but no decoder"):
        build_decoder(CONFIG.model_copy(update={"decoder": None}), CNN)


def test_a_decoder_left_open_is_fitted_to_the_depths_of_the_classifier() -> None:
    left = DecoderConfig(channels=None, evidence=None)
    assert left.fitted(3).channels == (24, 32, 48)
    assert left.fitted(6).channels == (24, 32, 48, 64, 96, 96)
    assert left.fitted(6).evidence == 6
    given = DecoderConfig(channels=(4, 4, 4), evidence=1)
    assert given.fitted(3) == given
