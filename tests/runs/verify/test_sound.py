"""`verify` finds nothing in a sound run, whole or in the making, wherever it lies."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.flow.finalize import finalize
from pipeline.inputs.listing import list_input
from pipeline.runs.output import RunOutput
from pipeline.runs.verify.verify import verify
from pipeline.storage.errors import StorageError
from schemas.records import QuarantinedShard
from schemas.tables import TABLES
from tests.conftest import TinyRun
from tests.runs.verify.damage import Damaged
from tests.runs.verify.make import kinds, told
from tests.s3 import S3Server

pytestmark = pytest.mark.slow


def test_a_sound_run_is_sound(tiny_run: TinyRun) -> None:
    proof = verify(tiny_run.output, tiny_run.source)
    assert told(proof) == ""
    assert proof.finished
    assert (proof.shards, proof.ended, proof.parts) == (3, 3, 4)
    assert (proof.recordings, proof.errors, proof.windows, proof.masks, proof.listenables) == (8, 3, 10, 10, 20)
    files = [path for path in Path(tiny_run.output).rglob("*") if path.suffix in (".parquet", ".flac")]
    assert (proof.files, proof.bytes) == (len(files), sum(path.stat().st_size for path in files))


def test_two_labels_of_each_window_are_sound_and_three_or_one_are_not(two_labels_run: TinyRun, tmp_path: Path) -> None:
    assert told(verify(two_labels_run.output, two_labels_run.source)) == ""
    run_dir = Damaged.copy(two_labels_run.output, tmp_path / "run")
    path = run_dir.change("masks", lambda rows: rows.pop(0))
    proof = verify(str(run_dir.folder))
    assert f"wrong_labels: {path}" in told(proof)
    assert "rows for 1 labels, of 2 asked for" in told(proof)
    run_dir.set_run(targets="topk:3")
    assert verify(str(run_dir.folder)).findings.counts["wrong_labels"] == 8
    labels = json.loads((run_dir.folder / "_run.json").read_text())["explainer"]["labels"]
    run_dir.set_run(targets="; ".join(labels[:2]))
    assert "wrong_labels" in kinds(verify(str(run_dir.folder)))


def test_what_is_committed_of_an_unfinished_run(damaged: Damaged) -> None:
    damaged.unfinish()
    last = damaged.commit_file(3)
    orphans = damaged.commit(3).files
    last.unlink()
    proof = verify(str(damaged.folder))
    assert told(proof) == ""  # what the part had written is no fault as long as the run goes on
    assert not proof.finished
    assert (proof.ended, proof.parts) == (2, 3)
    (damaged.folder / orphans[0].path).unlink()
    assert told(verify(str(damaged.folder))) == ""


def test_a_shard_that_was_given_up_and_is_gone_on_with(damaged: Damaged, tiny_run: TinyRun) -> None:
    lost = damaged.commit(3).shard_id
    shutil.rmtree(damaged.folder / "_commits" / lost)
    (damaged.folder / "_SUCCESS").unlink()
    shards = list_input(tiny_run.source, files_per_shard=3).shards
    finalize(damaged.output, shards, [QuarantinedShard(shard_id=lost, uri="x", attempts=3, reason="x")])
    proof = verify(str(damaged.folder), tiny_run.source)
    assert told(proof) == ""
    assert (proof.finished, proof.ended) == (False, 2)
    for folder in ("_commits", "audio", *TABLES):
        shutil.copytree(Path(tiny_run.output) / folder, damaged.folder / folder, dirs_exist_ok=True)
    proof = verify(str(damaged.folder), tiny_run.source)
    assert told(proof) == ""
    assert (proof.finished, proof.ended) == (False, 3)


def test_a_run_on_s3(tiny_run: TinyRun, s3_server: S3Server) -> None:
    shutil.copytree(tiny_run.output, s3_server.bucket_dir / "run")
    proof = verify(f"{s3_server.bucket_url}/run")
    assert told(proof) == ""
    assert proof.files == 33
    path = Damaged(s3_server.bucket_dir / "run").file("masks").path
    RunOutput(f"{s3_server.bucket_url}/run").write_bytes(path, b"damaged")
    assert f"wrong_bytes: {path}" in told(verify(f"{s3_server.bucket_url}/run"))


def test_no_run(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"it has no _run\.json: give the output of `lmac explain`"):
        verify(str(tmp_path))


def test_neither_ray_nor_the_flow_is_needed() -> None:
    code = "import sys, pipeline.runs.verify.verify; print({name for name in sys.modules if name == 'ray' or 'flow' in name})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "ray'" not in done.stdout
    assert "pipeline.flow" not in done.stdout
