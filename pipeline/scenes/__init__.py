"""Scenes: sound whose sources are known, so that an explanation can be held against the truth."""

from __future__ import annotations

from pipeline.scenes.dataset import DatasetFormat, SceneDataset, write_scenes
from pipeline.scenes.masks import ideal_ratio_mask
from pipeline.scenes.scene import BACKGROUNDS, CLASSES, Scene, SceneConfig, render_scene, scene_label

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
