"""`lmac clean`: what no record names goes, once it is old enough, and nothing else does."""

from __future__ import annotations

import os
import time
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from pipeline.runs.leftovers import find_leftovers
from pipeline.runs.output import RunOutput
from pipeline.storage.errors import StorageError
from schemas.records import RunRecord
from tests.jobs.test_cli import run
from tests.runs.test_output import commit_of, manifest_of
from tests.s3 import S3Server

DIGEST = "0123456789abcdef" * 4
LEFT = (
    "_candidates/b-1-000000-000000000000.parquet",
    "explainer/ffffffffffffffff/config.json",
    "masks/b-1-000000-000000000000.parquet",
    "predictions/.left.tmp",
    f".{'0' * 32}.tmp",
)


def begin(url: str) -> RunOutput:
    """A run with a part, a table without rows that only the manifest names, and things that are left over."""
    output = RunOutput(url)
    table = output.write_table("masks", "a-0-000000", pa.table({"x": [1]}))
    output.commit(commit_of("a-0", 0, [table]))
    output.write_run_record(
        RunRecord(
            lmac_version="0",
            input_digest="d",
            shards=1,
            config={},
            explainer={"name": "e", "digest": DIGEST},
            packages={},
        )
    )
    manifest_of(output, [table])
    output.write_bytes(f"{output.explainer_folder(DIGEST)}/config.json", b"{}")
    output.write_bytes("report.html", b"mine")
    output.write_bytes(".notes.tmp", b"mine")
    for path in LEFT:
        output.write_bytes(path, b"left")
    return output


def age(folder: Path, hours: float) -> None:
    for path in folder.rglob("*"):
        os.utime(path, (time.time() - 3600 * hours,) * 2)


def paths(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_what_is_left_goes_and_all_else_stays(tmp_path: Path) -> None:
    begin(str(tmp_path))
    age(tmp_path, 25)
    before = paths(tmp_path)
    code, said = run("clean", tmp_path, "--dry-run")
    assert code == 0
    assert paths(tmp_path) == before
    assert all(f"{path} (4 bytes)" in said for path in LEFT)
    assert said.endswith("5 files of 0.0 MB would be removed")
    code, said = run("clean", tmp_path)
    assert (code, paths(tmp_path)) == (0, before - set(LEFT))
    assert said.endswith("5 files of 0.0 MB removed")
    assert run("clean", tmp_path) == (0, "0 files of 0.0 MB removed")


def test_what_is_young_may_be_of_a_part_in_hand(tmp_path: Path) -> None:
    begin(str(tmp_path))
    age(tmp_path, 2)
    os.utime(tmp_path / LEFT[0])
    before = paths(tmp_path)
    code, said = run("clean", tmp_path)
    assert (code, said) == (0, "0 files of 0.0 MB removed left for now: 5 not known to be older than 24h")
    assert paths(tmp_path) == before
    assert run("clean", tmp_path, "--older-than", "90m")[0] == 0
    assert paths(tmp_path) == before - set(LEFT[1:])
    assert run("clean", tmp_path, "--older-than", "0s")[0] == 0
    assert paths(tmp_path) == before - set(LEFT)


def test_nothing_is_removed_where_a_record_is_damaged_or_there_is_no_run(tmp_path: Path) -> None:
    output = begin(str(tmp_path))
    age(tmp_path, 48)
    (tmp_path / output.commit_path("a-0", 0)).write_text("{")
    before = paths(tmp_path)
    code, said = run("clean", tmp_path)
    assert code == 1
    assert "_commits/a-0/000000.json: it is not a valid CommitRecord" in said
    (tmp_path / "_run.json").unlink()
    with pytest.raises(StorageError, match=r"it has no _run\.json: give the output of `lmac explain`"):
        find_leftovers(output, timedelta(0))
    assert paths(tmp_path) == before - {"_run.json"}


@pytest.mark.parametrize("text", ["", "24", "h", "-1h", "1.5h", "2w", "24 h h", "999999999d", "²h"])
def test_an_age_that_is_none(tmp_path: Path, text: str) -> None:
    code, said = run("clean", tmp_path, "--older-than", text)
    assert code == 1
    assert said.startswith(f"error: --older-than {' '.join(repr(text).split())}: write a whole number followed by s,")


@pytest.mark.slow
def test_on_s3_the_age_is_known_too(s3_server: S3Server) -> None:
    output = begin(f"{s3_server.bucket_url}/run")
    assert find_leftovers(output, timedelta(hours=1)).files == []
    found = find_leftovers(output, timedelta(0))
    assert {file.path for file in found.files} == set(LEFT)
    output.delete(found.files)
    left = find_leftovers(output, timedelta(0))
    assert (left.files, left.young) == ([], [])
