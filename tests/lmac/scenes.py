"""A small set of labelled windows, rendered."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from pipeline.datasets.scenes import SceneConfig, render_scene
from pipeline.inputs.window_set import WindowSet
from tests.models.make import FRONT_END


@lru_cache
def scene_windows(count: int = 20, classes: tuple[str, ...] = ("siren", "rain", "knock")) -> WindowSet:
    """Loud scenes of half a second, one window each, classes in turn."""
    config = SceneConfig(sample_rate=FRONT_END.sample_rate, duration_s=0.5, snr_db=(15.0, 25.0), event_s=(0.3, 0.4))
    labels = [classes[i % len(classes)] for i in range(count)]
    scenes = [render_scene(1, i, config, label) for i, label in enumerate(labels)]
    samples = np.stack([np.round(scene.mixture * 32767).astype("<i2") for scene in scenes])
    return WindowSet(
        samples=samples,
        recording_index=np.arange(count),
        keys=tuple(f"scene-{i}" for i in range(count)),
        labels=tuple((label,) for label in labels),
        metadata=tuple({"snr_db": scene.snr_db} for scene in scenes),
        classes=classes,
    )
