"""The explainers that ship, held against sounds they never heard."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from pipeline.audio.decode import decode
from pipeline.audio.windows import Span, take_window
from pipeline.lmac.explainer import Explainer, Explanation
from pipeline.scenes import render_scene
from pipeline.scenes.separation import si_sdr


def explain(name: str, waveforms: list[np.ndarray]) -> Explanation:
    explainer = Explainer.load(name)
    n = explainer.config.front_end.window_samples
    return explainer.explain(np.stack([take_window(x, Span(0, min(n, len(x))), n) for x in waveforms]))


@pytest.mark.slow
def test_esc10_is_right_about_recordings_of_the_unseen_fold_and_its_masks_hold_the_reason(esc10_dir: Path) -> None:
    with (esc10_dir / "meta" / "esc10.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["fold"] == "5"][::4]
    sounds = [decode((esc10_dir / row["path"]).read_bytes(), row["path"], 32_000).waveform for row in rows]
    got = explain("esc10", sounds)
    assert np.mean([label == row["category"] for label, row in zip(got.labels, rows, strict=True)]) >= 0.8
    assert got.scores["ff"].mean() > 0.55
    assert got.scores["ad"].mean() < 12
    assert got.scores["mask_mean"].mean() < 0.13


@pytest.mark.slow
def test_scenes_hears_unseen_scenes_and_its_listenable_is_nearer_to_the_target_than_the_mixture() -> None:
    scenes = [render_scene(4242, index) for index in range(20)]
    got = explain("scenes", [scene.mixture for scene in scenes])
    assert np.mean([label == scene.label for label, scene in zip(got.labels, scenes, strict=True)]) >= 0.9
    gained = [
        si_sdr(got.masked_in[i], scene.target) - si_sdr(scene.mixture, scene.target)
        for i, scene in enumerate(scenes)
        if scene.snr_db < 5
    ]
    assert len(gained) >= 5
    assert np.mean(gained) > 1
