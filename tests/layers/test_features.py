from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from pipeline.inputs.window_set import WindowSet
from pipeline.layers.features import layer_features
from pipeline.layers.similarity import linear_cka
from tests.lmac.scenes import scene_windows
from tests.models.make import small_models


def with_windows(windows: WindowSet, order: list[int], recording_index: list[int]) -> WindowSet:
    """The windows in another order, of other recordings."""
    return dataclasses.replace(windows, rows=np.array(order), recording_index=np.array(recording_index))


def test_layers_are_the_log_mel_each_depth_the_embedding_and_the_logits() -> None:
    classifier, _ = small_models()
    layers = layer_features(classifier, scene_windows())
    assert [layer.name for layer in layers] == [
        "log-mel",
        "depth 1",
        "depth 2",
        "depth 3",
        "depth 4",
        "embedding",
        "logits",
    ]
    assert layers[0].shape == (1, 51, 32)
    assert layers[1].shape == (4, 26, 16)
    assert [layer.width for layer in layers] == [64, 128, 96, 64, 32, 8, 3]
    assert all(layer.values.shape == (20, layer.pooled) for layer in layers)


def test_a_representation_is_its_mean_and_deviation_over_time() -> None:
    classifier, _ = small_models()
    windows = scene_windows()
    layer = layer_features(classifier, windows, batch_size=3)[2]
    with torch.no_grad():
        output = classifier(classifier.front_end.stft(windows.waveforms(torch.tensor([4]))).abs())
    there = output.representations[2][0].numpy()
    expected = np.concatenate([there.mean(axis=1).ravel(), there.std(axis=1).ravel()])
    np.testing.assert_allclose(layer.values[4], expected, rtol=1e-3, atol=1e-4)


def test_a_clip_is_the_mean_of_its_windows_however_they_are_batched() -> None:
    classifier, _ = small_models()
    windows = scene_windows()
    single = layer_features(classifier, windows, width=20)
    paired = with_windows(windows.recordings(range(2)), [0, 5, 1], [0, 0, 1])
    for one, pair in zip(single, layer_features(classifier, paired, width=20, batch_size=2), strict=True):
        np.testing.assert_allclose(pair.values[0], (one.values[0] + one.values[5]) / 2, rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(pair.values[1], one.values[1], rtol=1e-3, atol=1e-4)


def test_windows_told_twice_change_nothing() -> None:
    classifier, _ = small_models()
    windows = scene_windows()
    twice = with_windows(windows, [*range(20), *range(20)], [*range(20), *range(20)])
    for one, two in zip(layer_features(classifier, windows), layer_features(classifier, twice), strict=True):
        np.testing.assert_allclose(one.values, two.values, rtol=1e-3, atol=1e-4)


def test_a_projection_has_the_width_asked_for_and_keeps_what_is_alike() -> None:
    classifier, _ = small_models()
    windows = scene_windows()
    whole, narrow = layer_features(classifier, windows), layer_features(classifier, windows, width=60)
    assert [layer.width for layer in narrow] == [60, 60, 60, 60, 32, 8, 3]
    assert [layer.pooled for layer in narrow] == [layer.pooled for layer in whole]
    for one, other in zip(whole, narrow, strict=True):
        assert linear_cka([one.values, other.values])[0, 1] > 0.85


@pytest.mark.parametrize(("seed", "same"), [(1, True), (2, False)])
def test_the_seed_makes_the_projection(seed: int, same: bool) -> None:
    classifier, _ = small_models()
    one, other = (layer_features(classifier, scene_windows(), width=20, seed=each)[0].values for each in (1, seed))
    assert np.array_equal(one, other) == same


def test_every_window_is_counted_once() -> None:
    counted: list[int] = []
    layer_features(small_models()[0], scene_windows(), batch_size=8, step=counted.append)
    assert counted == [8, 8, 4]
