"""The explainers that ship, held against sounds they never heard."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from pipeline.audio.decode import decode
from pipeline.audio.windows import Span, take_window
from pipeline.datasets.scenes import render_scene
from pipeline.datasets.scenes.separation import si_sdr
from pipeline.lmac.explainer import Explainer, Explanation


def explain(name: str, waveforms: list[np.ndarray]) -> Explanation:
    explainer = Explainer.load(name)
    n = explainer.config.front_end.window_samples
    return explainer.explain_windows(np.stack([take_window(x, Span(0, min(n, len(x))), n) for x in waveforms]))


@pytest.mark.slow
def test_esc10_is_right_about_recordings_of_the_unseen_fold_and_its_masks_hold_the_reason(esc10_dir: Path) -> None:
    with (esc10_dir / "meta" / "esc10.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["fold"] == "5"][::4]
    sounds = [decode((esc10_dir / row["path"]).read_bytes(), row["path"], 32_000).waveform for row in rows]
    got = explain("esc10", sounds)
    assert np.mean([label == row["category"] for label, row in zip(got.targets, rows, strict=True)]) >= 0.8
    assert got.scores["ff"].mean() > 0.6
    assert got.scores["ad"].mean() < 5
    assert got.scores["fid_in"].mean() >= 0.9
    assert got.scores["mask_mean"].mean() < 0.12
    assert got.scores["energy_kept"].mean() < 0.6


@pytest.mark.slow
@pytest.mark.parametrize("refine", [0, 3])
def test_a_mask_of_esc10_is_the_same_to_within_one_of_255_in_any_batch(esc10_dir: Path, refine: int) -> None:
    with (esc10_dir / "meta" / "esc10.csv").open() as file:
        paths = [row["path"] for row in csv.DictReader(file)][7:320:80]
    sounds = np.stack(
        [
            take_window(x, Span(0, min(160_000, len(x))), 160_000)
            for x in (decode((esc10_dir / path).read_bytes(), path, 32_000).waveform for path in paths)
        ]
    )
    explainer = Explainer.load("esc10")
    together = explainer.explain_windows(sounds, refine=refine).mask.astype(int)
    alone = np.concatenate([explainer.explain_windows(x[None], refine=refine).mask for x in sounds]).astype(int)
    assert np.abs(together - alone).max() <= 1


@pytest.mark.slow
def test_scenes_hears_unseen_scenes_and_its_listenable_is_nearer_to_the_target_than_the_mixture() -> None:
    scenes = [render_scene(4242, index) for index in range(20)]
    got = explain("scenes", [scene.mixture for scene in scenes])
    assert np.mean([label == scene.label for label, scene in zip(got.targets, scenes, strict=True)]) >= 0.9
    gained = [
        si_sdr(got.masked_in[i], scene.target) - si_sdr(scene.mixture, scene.target)
        for i, scene in enumerate(scenes)
        if scene.snr_db < 5
    ]
    assert len(gained) >= 5
    assert np.mean(gained) > 1
