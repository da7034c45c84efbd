"""Faulty scenes have the faults that are told, and an audit finds them."""

from __future__ import annotations

import io
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
import soundfile

from pipeline.audit.audit import audit
from pipeline.datasets.scenes import SceneConfig, render_scene, scene_label, write_faulty_scenes
from pipeline.datasets.scenes.encode import scene_key
from pipeline.inputs.listing import list_input
from pipeline.inputs.readers import read_shard
from pipeline.inputs.recording import RawRecording
from pipeline.runs.run import open_run
from schemas.run_config import ContentConfig
from tests.flow.make import explain_here

COUNT, SEED = 40, 5


def written(folder: Path) -> dict[str, RawRecording]:
    listing = list_input(str(folder))
    found = [one for shard in listing.shards for one in read_shard(listing.root_url, shard)]
    recordings = [one for one in found if isinstance(one, RawRecording)]
    assert len(recordings) == len(found)
    return {one.key.removesuffix(".flac"): one for one in recordings}


def waveform(recording: RawRecording) -> np.ndarray:
    assert isinstance(recording.data, bytes)
    return soundfile.read(io.BytesIO(recording.data), dtype="float32")[0]


@pytest.mark.slow
def test_the_faults_are_as_told_and_the_rest_is_as_it_was(tmp_path: Path) -> None:
    faults = write_faulty_scenes(tmp_path / "a", COUNT, SEED, scenes_per_shard=16)
    again = write_faulty_scenes(tmp_path / "b", COUNT, SEED, scenes_per_shard=16)
    assert faults == again
    names = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert all((tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes() for name in names)
    there = written(tmp_path / "a")
    assert len(there) == COUNT + len(faults.copies)
    for index in range(COUNT):
        key, scene = scene_key(index), render_scene(SEED, index, SceneConfig())
        assert (there[key].metadata["label"] != scene_label(SEED, index)) == (key in faults.wrong_labels)
        sound = waveform(there[key])
        if key in faults.silent:
            assert not sound.any()
        elif key in faults.clipped:
            assert (np.abs(sound) > 0.999).mean() > 0.001
        else:
            assert np.abs(sound - scene.mixture).max() < 1e-4
    for copy, original in faults.copies:
        sound, before = waveform(there[copy]), waveform(there[original])
        assert np.abs(sound - 0.5 * before[len(before) - len(sound) :]).max() < 1e-4


@pytest.mark.slow
def test_an_audit_finds_them(tmp_path: Path) -> None:
    faults = write_faulty_scenes(tmp_path / "scenes", COUNT, SEED)
    output = str(tmp_path / "run")
    content = ContentConfig(explainer="scenes", listenables=("masked_in", "masked_out"), audio_scores="none")
    explain_here(str(tmp_path / "scenes"), output, content)
    keys = dict(open_run(output).sql("SELECT clip_id, key FROM predictions").fetchall())
    found = defaultdict(set)
    for one in audit(output, trained_on="no").findings:
        if not one.candidate:
            found[one.subject] |= {keys[member.clip_id].removesuffix(".flac") for member in one.members}
    assert found["clipped"] == set(faults.clipped)
    assert found["silent"] == set(faults.silent)
    assert found["near copies"] == {key for pair in faults.copies for key in pair}
