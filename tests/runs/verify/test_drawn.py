"""`verify` draws the windows of listenables and masks by itself, in a run that goes on and in one that has ended."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.flow.finalize import finalize
from pipeline.inputs.listing import list_input
from pipeline.runs.verify.verify import verify
from schemas.draws import rank_of
from schemas.records import QuarantinedShard
from tests.conftest import TinyRun
from tests.flow.make import content_of
from tests.runs.verify.damage import Damaged
from tests.runs.verify.make import commit_here, kinds, run_here, told

pytestmark = pytest.mark.slow

SETTINGS: dict[str, Any] = {"listen": "per-target:2", "masks": "share:0.5", "audio_scores": "share:0.5"}


@pytest.fixture(scope="module")
def begun_run(tiny_run: TinyRun, tmp_path_factory: pytest.TempPathFactory) -> str:
    """All parts of a run that draws two windows of each target, before its end."""
    folder = str(tmp_path_factory.mktemp("begun") / "run")
    commit_here(tiny_run.source, folder, content_of(tiny_run.explainer, **SETTINGS))
    return folder


@pytest.fixture
def begun(begun_run: str, tmp_path: Path) -> Damaged:
    return Damaged.copy(begun_run, tmp_path / "run")


@pytest.fixture
def ended(begun: Damaged, tiny_run: TinyRun) -> Damaged:
    finalize(begun.output, list_input(tiny_run.source, files_per_shard=3).shards, [], per_target=2)
    return begun


def test_candidates_of_a_run_that_goes_on(begun: Damaged) -> None:
    found = verify(str(begun.folder))
    assert told(found) == ""
    assert (found.finished, found.listenables) == (False, 18)
    commit = begun.commit(1)
    assert commit.candidates is not None
    (begun.folder / commit.candidates.path).unlink()
    assert f"missing_file: {commit.candidates.path}" in told(verify(str(begun.folder)))


def test_candidates_that_no_commit_names(begun: Damaged) -> None:
    begun.output.commit(begun.commit(1).model_copy(update={"candidates": None}))
    found = verify(str(begun.folder))
    assert kinds(found) == {"missing_listenable"}


def test_a_part_that_names_other_windows(begun: Damaged) -> None:
    commit = begun.commit(1)
    target, drawn = next(iter(commit.drawn.items()))
    begun.output.commit(commit.model_copy(update={"drawn": {**commit.drawn, target: drawn[1:]}}))
    assert told(verify(str(begun.folder))).startswith("wrong_draw: _commits/")


def test_the_drawn_windows_of_a_run_that_has_ended(ended: Damaged, tiny_run: TinyRun) -> None:
    found = verify(str(ended.folder), tiny_run.source, deep=10, explainer=tiny_run.explainer)
    assert told(found) == ""
    rows = pq.ParquetDataset(ended.folder / "faithfulness").read(["window_id", "target"]).to_pylist()
    targets = {row["target"] for row in rows}
    expected = {
        (window, target)
        for target in targets
        for window in sorted((row["window_id"] for row in rows if row["target"] == target), key=rank_of)[:2]
    }
    drawn = pq.ParquetDataset(ended.folder / "listenables").read(["window_id", "target"]).to_pylist()
    assert {(row["window_id"], row["target"]) for row in drawn} == expected
    assert found.listenables == len(drawn) == 2 * len(expected)
    masks = pq.ParquetDataset(ended.folder / "masks").read(["window_id", "mask"]).to_pylist()
    stored = [row["window_id"] for row in masks if row["mask"] is not None]
    assert set(stored) == {row["window_id"] for row in masks if rank_of(row["window_id"]) < 2**63}
    assert found.masks == len(stored) < len(masks)


def test_a_drawn_listenable_that_is_missing_and_a_wrong_one(ended: Damaged) -> None:
    (old,) = ended.files_alone()
    content = pq.read_table(ended.folder / old.path)

    def rewrite(*tables: pa.Table) -> str:
        for file in ended.files_alone():
            (ended.folder / file.path).unlink()
        files = [ended.output.write_table("listenables", f"drawn-{n:06d}", table) for n, table in enumerate(tables)]
        ended.replace_alone(*files)
        return files[0].path

    rewrite(content.slice(1))
    key = " ".join(content.slice(0, 1).select(["window_id", "target", "kind"]).to_pylist()[0].values())
    assert told(verify(str(ended.folder))).startswith(f"missing_listenable: _manifest.json: {key}: ")
    rows = content.to_pylist()
    rows[0]["audio"]["bytes"] = rows[1]["audio"]["bytes"]
    path = rewrite(pa.Table.from_pylist(rows, schema=content.schema))
    assert f"wrong_audio: {path}: {key}: its row has another SHA-256" in told(verify(str(ended.folder)))
    rewrite(content, content.slice(1))
    assert verify(str(ended.folder)).findings.counts == {"doubled_row": len(rows) - 1}


def test_a_share_and_none_and_no_side(tiny_run: TinyRun, tmp_path: Path) -> None:
    content = content_of(tiny_run.explainer, listen="share:0.4", masks="none")
    found = verify(run_here(tiny_run.source, str(tmp_path / "run"), content), tiny_run.source)
    assert (told(found), found.masks) == ("", 0)
    assert 0 < found.listenables < 20
    content = content_of(tiny_run.explainer, listen="none")
    found = verify(run_here(tiny_run.source, str(tmp_path / "none"), content), tiny_run.source)
    assert (told(found), found.listenables) == ("", 0)
    content = content_of(tiny_run.explainer, listen="per-target:2", listenables=())
    found = verify(run_here(tiny_run.source, str(tmp_path / "sides"), content), tiny_run.source)
    assert (told(found), found.listenables) == ("", 0)


def test_a_shard_that_was_given_up_keeps_the_candidates(begun: Damaged, tiny_run: TinyRun, begun_run: str) -> None:
    shards = list_input(tiny_run.source, files_per_shard=3).shards
    lost = begun.commit(3).shard_id
    shutil.rmtree(begun.folder / "_commits" / lost)
    finalize(begun.output, shards, [QuarantinedShard(shard_id=lost, uri="x", attempts=3, reason="x")], per_target=2)
    assert told(verify(str(begun.folder), tiny_run.source)) == ""
    shutil.copytree(begun_run, begun.folder, dirs_exist_ok=True)
    assert told(verify(str(begun.folder), tiny_run.source)) == ""
    finalize(begun.output, shards, [], per_target=2)
    found = verify(str(begun.folder), tiny_run.source)
    assert (told(found), found.finished) == ("", True)
