"""Scenes: synthetic sounds with known sources, so that an explanation can be compared with the ground truth."""

from __future__ import annotations

from pipeline.datasets.scenes.dataset import DatasetFormat, SceneDataset, write_scenes
from pipeline.datasets.scenes.faulty import Faults, write_faulty_scenes
from pipeline.datasets.scenes.scene import (
    BACKGROUNDS,
    CLASSES,
    Scene,
    SceneConfig,
    SceneError,
    render_scene,
    scene_label,
)
from pipeline.datasets.scenes.separation import ideal_ratio_mask

__all__ = [
    "BACKGROUNDS",
    "CLASSES",
    "DatasetFormat",
    "Faults",
    "Scene",
    "SceneConfig",
    "SceneDataset",
    "SceneError",
    "ideal_ratio_mask",
    "render_scene",
    "scene_label",
    "write_faulty_scenes",
    "write_scenes",
]
