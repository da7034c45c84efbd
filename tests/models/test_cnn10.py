from __future__ import annotations

import pytest
import torch
from torch import Tensor

from tests.models.make import CONFIG, FRONT_END, noise, small_models

CNN = small_models()[0]
CHANNELS = CONFIG.classifier.channels


def magnitude(batch: int, frames: int, seed: int = 0) -> Tensor:
    return noise(batch, FRONT_END.n_freq, frames, seed=seed, amplitude=5.0).abs()


@pytest.mark.parametrize("frames", [1, 2, 3, 15, 16, 17, 51])
def test_any_number_of_frames_is_classified(frames: int) -> None:
    output = CNN(magnitude(2, frames))
    assert output.logits.shape == (2, 3)
    assert output.embedding.shape == (2, CONFIG.classifier.embedding)
    assert output.logits.isfinite().all()


@pytest.mark.parametrize("frames", [1, 50, 51])
def test_representations_are_laid_out_in_time_and_mel_each_half_the_one_before(frames: int) -> None:
    sizes = [(frames, FRONT_END.n_mels)]
    for _ in CHANNELS:
        sizes.append((-(-sizes[-1][0] // 2), -(-sizes[-1][1] // 2)))
    representations = CNN(magnitude(2, frames)).representations
    shapes = [tuple(r.shape) for r in representations]
    assert shapes == [(2, c, *s) for c, s in zip((1, *CHANNELS), sizes, strict=True)]
    assert CNN.representation_channels == (1, *CHANNELS)


def reach(low: int, high: int, depth: int) -> tuple[int, int]:
    """Cells that can hear cells low..high of the log-mel: two 3x3 convolutions, then pooling, at each depth."""
    for _ in range(depth):
        low, high = (low - 2) // 2, (high + 2) // 2
    return low, high


def changed(before: Tensor, after: Tensor, axis: int) -> list[int]:
    other = tuple(a for a in range(4) if a != axis)
    return ((before - after).abs().amax(dim=other) > 0).nonzero()[:, 0].tolist()


def test_a_change_of_one_frame_moves_only_the_cells_near_it_in_time() -> None:
    before, frame = magnitude(1, 200), 101
    after = before.clone()
    after[:, :, frame] *= 10
    pairs = zip(CNN(before).representations, CNN(after).representations, strict=True)
    for depth, (a, b) in enumerate(pairs):
        moved = changed(a, b, axis=2)
        low, high = reach(frame, frame, depth)
        assert moved
        assert low <= min(moved) <= frame >> depth <= max(moved) <= high


def test_a_change_of_one_bin_moves_only_the_cells_near_it_in_frequency() -> None:
    before, frequency_bin = magnitude(1, 40), 150
    after = before.clone()
    after[:, frequency_bin] *= 10
    filters = CNN.front_end.mel_weights[frequency_bin].nonzero()[:, 0].tolist()
    pairs = zip(CNN(before).representations, CNN(after).representations, strict=True)
    for depth, (a, b) in enumerate(pairs):
        moved = changed(a, b, axis=3)
        low, high = reach(min(filters), max(filters), depth)
        assert moved
        assert low <= min(moved) <= max(moved) <= high


def test_a_window_is_classified_alike_alone_and_in_a_batch() -> None:
    batch = magnitude(16, 51)
    together = CNN(batch).logits
    alone = torch.cat([CNN(one[None]).logits for one in batch])
    torch.testing.assert_close(alone, together, atol=1e-5, rtol=0)
    assert together.std(dim=0).min() > 1e-3  # different windows, different logits: the test could fail


def test_what_lies_outside_the_mel_bands_is_not_heard() -> None:
    before = magnitude(1, 20)
    after = before.clone()
    after[:, ~CNN.front_end.audible] = 0
    assert torch.equal(CNN(before).logits, CNN(after).logits)
