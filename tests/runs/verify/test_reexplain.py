"""`verify` holds a run against its input, and explains windows again."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from pipeline.models.checkpoint import ExplainerError
from pipeline.runs.verify.verify import verify
from schemas.run_config import ContentConfig
from tests.conftest import TinyRun
from tests.flow.make import mixed_recordings, save_tiny
from tests.inputs.make import tar_bytes, write_parquet
from tests.runs.verify.damage import Damaged, first
from tests.runs.verify.make import kinds, run_here, told

pytestmark = pytest.mark.slow


def test_the_input_is_held_against_the_run(damaged: Damaged, tiny_run: TinyRun, tmp_path: Path) -> None:
    source = Path(shutil.copytree(tiny_run.source, tmp_path / "input"))
    (source / "cat" / "three.ogg").rename(source / "cat" / "threw.ogg")
    found = verify(str(damaged.folder), str(source))
    assert "input_changed" in kinds(found)
    damaged.change("errors", first("clip_id", "f" * 32), 0)
    found = told(verify(str(damaged.folder), tiny_run.source))
    assert f"missing_recording: {damaged.commit(0).shard_id}" in found
    assert f"stray_recording: {damaged.commit(0).shard_id}: {'f' * 32}" in found


def test_windows_explained_again(damaged: Damaged, tiny_run: TinyRun, tmp_path: Path) -> None:
    found = verify(tiny_run.output, tiny_run.source, deep=99, explainer=tiny_run.explainer)
    assert told(found) == ""
    assert found.reexplained == 10
    assert verify(tiny_run.output, tiny_run.source, deep=3, explainer=tiny_run.explainer).reexplained == 3

    def two_levels(mask: bytes) -> bytes:
        levels = np.frombuffer(mask, np.uint8).reshape(257, 64).astype(int)
        # In one frame, in the highest band: mean and profiles stay, so that no other check can tell.
        up, down = np.argsort(levels[225:255, 7])[[0, -1]] + 225
        levels[up, 7] += 2
        levels[down, 7] -= 2
        return levels.astype(np.uint8).tobytes()

    damaged.change("masks", first("mask", two_levels))
    found = verify(str(damaged.folder), tiny_run.source, deep=99, explainer=tiny_run.explainer)
    assert kinds(found) == {"differs_reexplained"}
    assert "2 bins of the mask of" in told(found)
    other = save_tiny(tmp_path / "other", seed=1)
    with pytest.raises(ExplainerError, match=r"has the digest [0-9a-f]{12}, the run was made with 'tiny' of"):
        verify(tiny_run.output, tiny_run.source, deep=1, explainer=other)
    with pytest.raises(
        ExplainerError,
        match=r"keeps no explainer of its own \(in explainer/[0-9a-f]{16}\): give",
    ):
        verify(tiny_run.output, tiny_run.source, deep=1)


def test_the_explainer_that_is_saved_with_the_run(damaged: Damaged, tiny_run: TinyRun) -> None:
    digest = json.loads((damaged.folder / "_run.json").read_text())["explainer"]["digest"]
    shutil.copytree(tiny_run.explainer, damaged.folder / damaged.output.explainer_folder(digest))
    found = verify(str(damaged.folder), tiny_run.source, deep=2)
    assert told(found) == ""
    assert found.reexplained == 2


def test_tars_and_parquet_are_held_against_a_run_of_binary_masks(tiny_run: TinyRun, tmp_path: Path) -> None:
    source, recordings = tmp_path / "in", mixed_recordings()
    source.mkdir()
    names = sorted(recordings)
    (source / "a.tar").write_bytes(tar_bytes({name: recordings[name] for name in names[:5]}))
    write_parquet(source / "b.parquet", [{"audio": {"bytes": recordings[name], "path": name}} for name in names[5:]])
    content = ContentConfig(explainer=tiny_run.explainer, mask="binary", listenables=(), window_hop_s=0.5)
    output = run_here(str(source), str(tmp_path / "out"), content)
    found = verify(output, str(source), deep=99, explainer=tiny_run.explainer)
    assert told(found) == ""
    assert (found.recordings, found.listenables) == (8, 0)
    assert found.reexplained == found.windows > 10
    damaged = Damaged(Path(output))

    def mirror(rows: list) -> None:
        # In each frame, in the highest band: mean and profiles stay, so that no other check can tell.
        for row in rows:
            mask = np.frombuffer(row["mask"], np.uint8).reshape(257, 64).copy()
            mask[225:255] = mask[225:255][::-1]
            row["mask"] = mask.tobytes()

    part = next(n for n, commit in enumerate(damaged.output.commits()) if commit.windows)
    damaged.change("masks", mirror, part)
    found = verify(output, str(source), deep=99, explainer=tiny_run.explainer)
    assert kinds(found) == {"differs_reexplained"}
