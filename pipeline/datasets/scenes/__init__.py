"""Scenes: sound whose sources are known, so that an explanation can be held against the truth."""

from __future__ import annotations

from pipeline.datasets.scenes.dataset import DatasetFormat, SceneDataset, write_scenes
from pipeline.datasets.scenes.ideal_mask import ideal_ratio_mask
from pipeline.datasets.scenes.scene import BACKGROUNDS, CLASSES, Scene, SceneConfig, render_scene, scene_label

__all__ = [
    "BACKGROUNDS",
    "CLASSES",
    "DatasetFormat",
    "Scene",
    "SceneConfig",
    "SceneDataset",
    "ideal_ratio_mask",
    "render_scene",
    "scene_label",
    "write_scenes",
]
