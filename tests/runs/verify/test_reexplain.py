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
    proof = verify(str(damaged.folder), str(source))
    assert "input_changed" in kinds(proof)
    damaged.change("errors", first("clip_id", "f" * 32), 0)
    found = told(verify(str(damaged.folder), tiny_run.source))
    assert f"missing_recording: {damaged.commit(0).shard_id}" in found
    assert f"stray_recording: {damaged.commit(0).shard_id}: {'f' * 32}" in found


def test_explaining_again(damaged: Damaged, tiny_run: TinyRun, tmp_path: Path) -> None:
    proof = verify(tiny_run.output, tiny_run.source, deep=99, explainer_url=tiny_run.explainer)
    assert told(proof) == ""
    assert proof.again == 10
    assert verify(tiny_run.output, tiny_run.source, deep=3, explainer_url=tiny_run.explainer).again == 3

    def two_levels(mask: bytes) -> bytes:
        levels = np.frombuffer(mask, np.uint8).astype(int)
        up, down = np.flatnonzero(levels < 200)[0], np.flatnonzero(levels > 100)[0]
        levels[up] += 2  # the mean stays, so that no other check can tell
        levels[down] -= 2
        return levels.astype(np.uint8).tobytes()

    damaged.change("masks", first("mask", two_levels))
    proof = verify(str(damaged.folder), tiny_run.source, deep=99, explainer_url=tiny_run.explainer)
    assert kinds(proof) == {"differs_again"}
    assert "2 bins of the mask of" in told(proof)
    other = save_tiny(tmp_path / "other", seed=1)
    with pytest.raises(ExplainerError, match=r"has the digest [0-9a-f]{12}, the run was made with 'tiny' of"):
        verify(tiny_run.output, tiny_run.source, deep=1, explainer_url=other)
    with pytest.raises(
        ExplainerError,
        match=r"keeps no explainer of its own \(in explainer/[0-9a-f]{16}\): give",
    ):
        verify(tiny_run.output, tiny_run.source, deep=1)


def test_the_explainer_that_is_saved_with_the_run(damaged: Damaged, tiny_run: TinyRun) -> None:
    digest = json.loads((damaged.folder / "_run.json").read_text())["explainer"]["digest"]
    shutil.copytree(tiny_run.explainer, damaged.folder / damaged.output.explainer_folder(digest))
    proof = verify(str(damaged.folder), tiny_run.source, deep=2)
    assert told(proof) == ""
    assert proof.again == 2


def test_tars_and_parquet_are_held_against_a_run_of_binary_masks(tiny_run: TinyRun, tmp_path: Path) -> None:
    source, recordings = tmp_path / "in", mixed_recordings()
    source.mkdir()
    names = sorted(recordings)
    (source / "a.tar").write_bytes(tar_bytes({name: recordings[name] for name in names[:5]}))
    write_parquet(source / "b.parquet", [{"audio": {"bytes": recordings[name], "path": name}} for name in names[5:]])
    content = ContentConfig(explainer=tiny_run.explainer, mask="binary", listenables=(), window_hop_s=0.5)
    output = run_here(str(source), str(tmp_path / "out"), content)
    proof = verify(output, str(source), deep=99, explainer_url=tiny_run.explainer)
    assert told(proof) == ""
    assert (proof.recordings, proof.listenables) == (8, 0)
    assert proof.again == proof.windows > 10
    damaged = Damaged(Path(output))

    def invert(rows: list) -> None:
        # A row of bins against another: no other check can tell.
        mask = np.frombuffer(rows[0]["mask"], np.uint8).copy()
        on, off = np.flatnonzero(mask)[:9], np.flatnonzero(mask == 0)[:9]
        mask[on], mask[off] = 0, 255
        rows[0]["mask"] = mask.tobytes()

    part = next(n for n, commit in enumerate(damaged.output.commits()) if commit.windows)
    damaged.change("masks", invert, part)
    proof = verify(output, str(source), deep=99, explainer_url=tiny_run.explainer)
    assert "differs_again" in kinds(proof)
