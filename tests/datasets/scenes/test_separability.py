"""The task is fair: simple statistics tell the classes apart, and no background gives them away."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.datasets.scenes import BACKGROUNDS, CLASSES, Scene, SceneConfig, render_scene


def statistics(scene: Scene) -> np.ndarray:
    """Mean, spread and flux of the log power in 24 bands spaced evenly in log frequency, 60 Hz - 7.5 kHz."""
    frames = np.lib.stride_tricks.sliding_window_view(scene.mixture, 512)[::256]
    power = np.abs(np.fft.rfft(frames * np.hanning(512))) ** 2
    edges = np.unique(np.geomspace(2, 240, 25).astype(int))
    bands = np.log(np.add.reduceat(power, edges, axis=1)[:, :-1] + 1e-8)
    return np.concatenate([bands.mean(axis=0), bands.std(axis=0), np.abs(np.diff(bands, axis=0)).mean(axis=0)])


def nearest_centroid_accuracy(features: np.ndarray, labels: np.ndarray, n_train: int) -> float:
    scaled = (features - features[:n_train].mean(axis=0)) / features[:n_train].std(axis=0)
    kinds = np.unique(labels)
    centroids = np.stack([scaled[:n_train][labels[:n_train] == kind].mean(axis=0) for kind in kinds])
    distances = ((scaled[n_train:, None] - centroids) ** 2).sum(axis=2)
    return float(np.mean(kinds[distances.argmin(axis=1)] == labels[n_train:]))


@pytest.mark.slow
def test_simple_statistics_tell_the_events_apart_and_label_does_not_tell_the_background() -> None:
    config = SceneConfig(sample_rate=16000, snr_db=(5.0, 20.0))
    scenes = [render_scene(11, index, config) for index in range(400)]
    features = np.stack([statistics(scene) for scene in scenes])
    labels = np.array([scene.label for scene in scenes])
    assert nearest_centroid_accuracy(features, labels, 200) > 0.5  # chance is 0.1

    table = np.array(
        [
            [sum(s.label == label and s.background_kind == kind for s in scenes) for kind in BACKGROUNDS]
            for label in CLASSES
        ]
    )
    expected = 400 / table.size
    chi_squared = float(((table - expected) ** 2 / expected).sum())
    assert chi_squared < 73  # rows are fixed, so 40 degrees of freedom: 1 chance table in 1000 passes 73
