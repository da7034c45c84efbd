"""Questions asked of a run's tables, and pictures of its explanations."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from matplotlib.image import imread

from pipeline.audit.examples import panels_of, pick_examples
from pipeline.inputs import readers
from pipeline.inputs.recording import RawRecording
from pipeline.lmac.picture import Panels, draw
from pipeline.runs.run import open_run
from tests.conftest import TinyRun
from tests.flow.make import FRONT_END, RATE, rows, sound

pytestmark = pytest.mark.slow


def test_examples_are_the_most_faithful_window_of_each_target(tiny_run: TinyRun) -> None:
    chosen = pick_examples(open_run(tiny_run.output), 10)
    targets = {row["label"] for row in rows(tiny_run.output, "predictions")}
    assert len(targets) >= 2
    assert sorted(example.target for example in chosen) == sorted(targets)
    scores = {row["window_id"]: row for row in rows(tiny_run.output, "faithfulness")}
    for example in chosen:
        baselines = [(row["fid_in"], row["ff"]) for row in scores.values() if row["target"] == example.target]
        best = scores[example.window_id]
        assert (best["fid_in"], best["ff"]) == max(baselines)
    assert pick_examples(open_run(tiny_run.output), 1) == chosen[:1]


def test_panels_hold_the_window_of_the_recording_and_its_mask(tiny_run: TinyRun) -> None:
    chosen = pick_examples(open_run(tiny_run.output), 10)
    masks = {row["window_id"]: row for row in rows(tiny_run.output, "masks")}
    for example, panels in zip(chosen, panels_of(tiny_run.source, open_run(tiny_run.output), chosen), strict=True):
        assert len(panels.waveform) == len(panels.masked_in) <= FRONT_END.window_samples
        assert panels.mask.shape == (FRONT_END.n_freq, FRONT_END.n_frames)
        assert panels.mask.mean() == pytest.approx(masks[example.window_id]["mask_mean"], abs=1e-5)
        # What is left is a filtered part of what was there.
        assert np.corrcoef(panels.waveform, panels.masked_in)[0, 1] > 0.3


def test_panels_read_only_the_clips_that_are_shown(tiny_run: TinyRun, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    original = readers.read_shard

    def counting(root_url: str, shard: object, **how: Any) -> object:
        for recording in original(root_url, shard, **how):  # type: ignore[arg-type]
            if isinstance(recording, RawRecording):
                read.append(recording.key)
            yield recording

    monkeypatch.setattr(readers, "read_shard", counting)
    chosen = pick_examples(open_run(tiny_run.output), 1)
    panels_of(tiny_run.source, open_run(tiny_run.output), chosen)
    assert read == [chosen[0].key]


def test_a_picture_is_a_png_of_three_different_panels() -> None:
    waveform = sound(1.0).astype(np.float32)
    mask = np.zeros((FRONT_END.n_freq, FRONT_END.n_frames))
    mask[:80] = 1
    panels = Panels(waveform, waveform * 0.2, mask, RATE, FRONT_END.hop_s, FRONT_END.bin_hz, "a $clip_ü", "x")
    image = imread(io.BytesIO(draw(panels)), format="png")
    assert image.shape == (360, 1200, 4)
    thirds = [image[100:280, 400 * i + 100 : 400 * i + 300, :3] for i in range(3)]
    assert all(third.std() > 0.01 for third in thirds)
    assert not np.allclose(thirds[0], thirds[2])
