"""The ideal ratio mask."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.datasets.scenes import ideal_ratio_mask, render_scene


def test_it_is_the_share_of_power() -> None:
    mask = ideal_ratio_mask(np.array([[0.0, 1.0, 3.0, 2.0]]), np.array([[0.0, 1.0, 4.0, 0.0]]))
    assert mask == pytest.approx(np.array([[0.0, 0.5, 9 / 25, 1.0]]))


def test_tiny_float32_magnitudes_do_not_underflow() -> None:
    tiny = np.full((2, 2), 1e-30, dtype=np.float32)
    mask = ideal_ratio_mask(tiny, tiny)
    assert mask == pytest.approx(0.5)
    assert mask.dtype == np.float32


def test_target_and_background_masks_sum_to_one() -> None:
    target, background = np.random.default_rng(0).uniform(0.1, 1.0, (2, 20, 30))
    assert ideal_ratio_mask(target, background) + ideal_ratio_mask(background, target) == pytest.approx(1.0)


def test_it_gets_the_target_back_out_of_a_scene() -> None:
    scene = render_scene(0, 0, label="alarm_beep")
    frame = 512

    def stft(x: np.ndarray) -> np.ndarray:
        return np.fft.rfft(x[: x.size // frame * frame].reshape(-1, frame)).T

    target, background, mixture = (stft(x) for x in (scene.target, scene.background, scene.mixture))
    mask = ideal_ratio_mask(np.abs(target), np.abs(background))
    left_over = np.linalg.norm(mask * mixture - target)
    assert mask.min() >= 0
    assert mask.max() <= 1
    assert left_over < 0.3 * np.linalg.norm(mixture - target)


def test_shapes_that_differ_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(2, 3\).*\(3, 2\)"):
        ideal_ratio_mask(np.ones((2, 3)), np.ones((3, 2)))
