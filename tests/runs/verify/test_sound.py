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
from pipeline.runs.verify.files import fetch
from pipeline.runs.verify.findings import Findings
from pipeline.runs.verify.verify import verify
from pipeline.storage.errors import StorageError
from schemas.records import FileRecord, QuarantinedShard
from schemas.tables import TABLES
from tests.conftest import TinyRun
from tests.runs.verify.damage import Damaged
from tests.runs.verify.make import kinds, told
from tests.s3 import S3Server

pytestmark = pytest.mark.slow


def test_a_sound_run_is_sound(tiny_run: TinyRun) -> None:
    found = verify(tiny_run.output, tiny_run.source)
    assert told(found) == ""
    assert found.finished
    assert (found.shards, found.ended, found.parts) == (3, 3, 4)
    assert (found.recordings, found.errors, found.windows, found.masks, found.listenables) == (8, 3, 10, 10, 20)
    files = list(Path(tiny_run.output).glob("*/*.parquet"))
    assert (found.files, found.bytes) == (len(files), sum(path.stat().st_size for path in files))


def test_two_targets_of_each_window_are_sound_and_three_or_one_are_not(two_labels_run: TinyRun, tmp_path: Path) -> None:
    assert told(verify(two_labels_run.output, two_labels_run.source)) == ""
    run_dir = Damaged.copy(two_labels_run.output, tmp_path / "run")
    path = run_dir.change("masks", lambda rows: rows.pop(0))
    found = verify(str(run_dir.folder))
    assert f"wrong_targets: {path}" in told(found)
    assert "rows for 1 targets, 2 expected" in told(found)
    run_dir.set_run(targets="topk:3")
    assert verify(str(run_dir.folder)).findings.counts["wrong_targets"] == 8
    labels = json.loads((run_dir.folder / "_run.json").read_text())["explainer"]["labels"]
    run_dir.set_run(targets="; ".join(labels[:2]))
    assert "wrong_targets" in kinds(verify(str(run_dir.folder)))


def test_what_is_committed_of_an_unfinished_run(damaged: Damaged) -> None:
    damaged.unfinish()
    last = damaged.commit_file(3)
    orphans = damaged.commit(3).files
    last.unlink()
    found = verify(str(damaged.folder))
    assert told(found) == ""  # what the part had written is no fault as long as the run goes on
    assert not found.finished
    assert (found.ended, found.parts) == (2, 3)
    (damaged.folder / orphans[0].path).unlink()
    assert told(verify(str(damaged.folder))) == ""


def test_a_shard_that_was_given_up_and_is_gone_on_with(damaged: Damaged, tiny_run: TinyRun) -> None:
    lost = damaged.commit(3).shard_id
    shutil.rmtree(damaged.folder / "_commits" / lost)
    (damaged.folder / "_SUCCESS").unlink()
    shards = list_input(tiny_run.source, files_per_shard=3).shards
    finalize(damaged.output, shards, [QuarantinedShard(shard_id=lost, uri="x", attempts=3, reason="x")])
    found = verify(str(damaged.folder), tiny_run.source)
    assert told(found) == ""
    assert (found.finished, found.ended) == (False, 2)
    for folder in ("_commits", *TABLES):
        shutil.copytree(Path(tiny_run.output) / folder, damaged.folder / folder, dirs_exist_ok=True)
    found = verify(str(damaged.folder), tiny_run.source)
    assert told(found) == ""
    assert (found.finished, found.ended) == (False, 3)


def test_a_run_on_s3(tiny_run: TinyRun, s3_server: S3Server) -> None:
    shutil.copytree(tiny_run.output, s3_server.bucket_dir / "run")
    found = verify(f"{s3_server.bucket_url}/run")
    assert told(found) == ""
    assert found.files == 13
    path = Damaged(s3_server.bucket_dir / "run").file("masks").path
    RunOutput(f"{s3_server.bucket_url}/run").write_bytes(path, b"damaged")
    assert f"wrong_bytes: {path}" in told(verify(f"{s3_server.bucket_url}/run"))


def test_no_run(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"it has no _run\.json: give the output of `lmac explain`"):
        verify(str(tmp_path))


def test_a_storage_that_refuses_is_no_damage(tmp_path: Path) -> None:
    output, findings = RunOutput(str(tmp_path)), Findings()
    (tmp_path / "masks").mkdir()
    for path in ("masks/gone.parquet", "../elsewhere.parquet"):
        assert fetch(output, FileRecord(path=path, bytes=1, sha256=""), findings) is None
    assert findings.counts == {"missing_file": 2}
    with pytest.raises(StorageError, match=r"reading .*/masks"):
        fetch(output, FileRecord(path="masks", bytes=1, sha256=""), findings)


def test_a_run_without_a_part(damaged: Damaged, tiny_run: TinyRun) -> None:
    damaged.unfinish()
    shutil.rmtree(damaged.folder / "_commits")
    found = verify(str(damaged.folder), tiny_run.source)
    assert (told(found), found.parts, found.ended) == ("", 0, 0)


def test_a_run_of_an_older_schema_version(damaged: Damaged) -> None:
    record = json.loads((damaged.folder / "_run.json").read_text())
    (damaged.folder / "_run.json").write_text(json.dumps({**record, "record_version": 1, "listing": "x"}))
    with pytest.raises(StorageError) as error:
        verify(str(damaged.folder))
    assert str(error.value) == (
        f"{damaged.folder}/_run.json: this run was written by an lmac of schema version 1, and this one reads "
        "version 2 alone: explain into another output"
    )


@pytest.mark.parametrize("changed", [{"listen": "some"}, {"part_windows": None}, {"targets": "topk:0"}])
def test_a_record_that_does_not_say_what_its_rows_must_be(damaged: Damaged, changed: dict) -> None:
    damaged.set_run(**changed)
    with pytest.raises(StorageError, match=r"_run\.json does not say what its rows must be"):
        verify(str(damaged.folder))


def test_neither_ray_nor_the_flow_is_needed() -> None:
    code = "import sys, pipeline.runs.verify.verify; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = done.stdout.split()
    assert "pipeline.runs.verify.verify" in loaded
    assert not [name for name in loaded if name == "ray" or name.startswith("pipeline.flow")]
