from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from aiobotocore.client import AioBaseClient

from pipeline.runs.manifest import ManifestBuilder
from pipeline.runs.output import RunOutput
from pipeline.runs.store import StoredFile
from pipeline.storage.errors import StorageError
from schemas.records import RECORD_VERSION, CommitRecord, Cursor, FileRecord, Manifest, RunRecord
from tests.s3 import S3Server


def commit_of(shard_id: str, part: int, files: list[FileRecord] | None = None) -> CommitRecord:
    return CommitRecord(
        shard_id=shard_id,
        part=part,
        windows=4,
        recordings=2,
        errors=0,
        files=files or [],
        next=Cursor(recording=2 * part + 2),
        share=0.5,
        last=False,
    )


def manifest_of(output: RunOutput, files: list[FileRecord]) -> Manifest:
    """The manifest of a whole run of these files, written."""
    builder = ManifestBuilder(output)
    builder.add_files(files)
    return builder.write([])


def run_record() -> RunRecord:
    return RunRecord(
        lmac_version="0", input_digest="d", shards=1, config={"a": 1}, explainer={}, packages={"numpy": "1"}
    )


def test_a_file_is_written_with_its_size_and_digest(tmp_path: Path) -> None:
    record = RunOutput(str(tmp_path / "run")).write_bytes("masks/a/b c.parquet", b"data", "listenables", 3)
    assert (tmp_path / "run" / "masks" / "a" / "b c.parquet").read_bytes() == b"data"
    digest = hashlib.sha256(b"data").hexdigest()
    assert record == FileRecord(path="masks/a/b c.parquet", bytes=4, sha256=digest, table="listenables", rows=3)


@pytest.mark.parametrize("path", ["../a", "/a", "a/../../b", "a/..", "", "a//b", "./a", "s3://b/a", "a\\..\\b", "a\0b"])
def test_a_path_that_would_leave_the_output_is_refused(tmp_path: Path, path: str) -> None:
    with pytest.raises(StorageError, match="is not a plain path relative to the output"):
        RunOutput(str(tmp_path / "run")).write_bytes(path, b"")
    assert list(tmp_path.iterdir()) == []


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = RunOutput(str(tmp_path))
    output.write_bytes("masks/a.parquet", b"old")

    def full(source: str, target: str) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(StorageError, match=r"writing .*masks/a.parquet: OSError.*No space left"):
        output.write_bytes("masks/a.parquet", b"new")
    assert [path.name for path in (tmp_path / "masks").iterdir()] == ["a.parquet"]
    assert (tmp_path / "masks" / "a.parquet").read_bytes() == b"old"


def test_a_table_goes_there_and_back_under_a_name_with_its_digest(tmp_path: Path) -> None:
    table = pa.table({"clip_id": [f"{i:03}" for i in range(10)]})
    record = RunOutput(str(tmp_path)).write_table("predictions", "shard-0-000001", table, row_group_rows=4)
    assert record.path == f"predictions/shard-0-000001-{record.sha256[:12]}.parquet"
    assert (record.table, record.rows) == ("predictions", 10)
    file = pq.ParquetFile(tmp_path / record.path)
    assert file.read().equals(table)
    assert [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)] == [4, 4, 2]
    assert file.metadata.row_group(0).column(0).compression == "ZSTD"


def test_commits_come_back_in_order_and_a_commit_made_twice_is_one(tmp_path: Path) -> None:
    output = RunOutput(str(tmp_path / "run"))
    assert list(output.commits()) == []
    for shard_id, part in [("b-1", 0), ("a-0", 1), ("a-0", 0), ("a-0", 1)]:
        output.commit(commit_of(shard_id, part))
    assert list(output.commits()) == [commit_of("a-0", 0), commit_of("a-0", 1), commit_of("b-1", 0)]
    assert output.committed_parts() == {"a-0": [0, 1], "b-1": [0]}
    assert output.committed_parts("a-0") == {"a-0": [0, 1]}
    assert output.committed_parts("never-2") == {}
    assert output.read_part("a-0", 1) == commit_of("a-0", 1)


@pytest.mark.parametrize("data", [b"", b'{"shard_id": "a', b"{}", b'{"record_version": 2, "from_the_future": 1}'])
def test_a_damaged_commit_is_named(tmp_path: Path, data: bytes) -> None:
    output = RunOutput(str(tmp_path))
    output.commit(commit_of("a-0", 0))
    (tmp_path / "_commits" / "a-0" / "000001.json").write_bytes(data)
    with pytest.raises(StorageError, match=r"_commits/a-0/000001.json: it is not a valid CommitRecord") as caught:
        list(output.commits())
    message = str(caught.value)
    assert "\n" not in message
    assert "pydantic" not in message
    assert message.endswith("delete it and run the same `lmac explain` again, which redoes its part")


def test_a_file_in_place_of_a_run_is_named(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("not a folder")
    with pytest.raises(StorageError, match=r"run/_run.json: what should be a folder is a file"):
        RunOutput(str(tmp_path / "run")).begun()


def test_the_run_record_and_the_marker(tmp_path: Path) -> None:
    output = RunOutput(str(tmp_path / "run"))
    assert output.read_run_record() is None
    output.write_run_record(run_record())
    assert output.read_run_record() == run_record()
    assert not output.succeeded()
    output.write_success()
    assert output.succeeded()


def test_a_record_of_another_schema_version_is_one_clear_sentence(tmp_path: Path) -> None:
    output = RunOutput(str(tmp_path))
    output.write_run_record(run_record())
    old = (tmp_path / "_run.json").read_text().replace(f'"record_version": {RECORD_VERSION}', '"record_version": 1')
    (tmp_path / "_run.json").write_text(old)
    with pytest.raises(StorageError) as caught:
        output.begun()
    assert str(caught.value) == (
        f"{tmp_path}/_run.json: this run was written by an lmac of schema version 1, and this one reads version "
        f"{RECORD_VERSION} alone: explain into another output"
    )


def test_a_reader_goes_by_the_manifest(tmp_path: Path) -> None:
    output = RunOutput(str(tmp_path))
    with pytest.raises(StorageError, match=r"no _manifest\.json: the run is not finished"):
        output.read_manifest()
    kept = output.write_table("masks", "a-0-000000", pa.table({"x": [1]}))
    output.write_table("masks", "a-0-000000", pa.table({"x": [2]}))
    manifest = manifest_of(output, [kept])
    assert output.read_manifest() == manifest
    assert output.files("masks") == [kept]
    assert [file.rows for file in output.files("listenables")] == [0]


def test_a_list_of_files_that_was_changed_is_told(tmp_path: Path) -> None:
    output = RunOutput(str(tmp_path))
    manifest_of(output, [])
    output.write_bytes("_manifest.parquet", b"other")
    with pytest.raises(StorageError, match=r"_manifest.parquet: it is not the file that _manifest.json was written"):
        output.files()


def test_orphans_are_swept_and_nothing_else_is(tmp_path: Path) -> None:
    output = RunOutput(str(tmp_path))
    table = output.write_table("masks", "a-0-000000", pa.table({"x": [1]}))
    output.write_bytes("masks/old.parquet", b"x")
    output.write_bytes("_candidates/a.parquet", b"2")
    (tmp_path / "listenables").mkdir()
    (tmp_path / "listenables" / ".left.tmp").write_bytes(b"half")
    output.commit(commit_of("a-0", 0))
    (tmp_path / "report.html").write_text("mine")
    named = {table.path}
    assert output.sweep_orphans(named) == ["_candidates/a.parquet", "listenables/.left.tmp", "masks/old.parquet"]
    assert output.sweep_orphans(named) == []
    left = sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file())
    assert left == sorted([table.path, "_commits/a-0/000000.json", "report.html"])


def test_files_and_folders_are_flushed_before_a_commit_names_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: list[str] = []
    flush, replace = os.fsync, os.replace
    name_of = lambda descriptor: os.readlink(f"/proc/self/fd/{descriptor}")  # noqa: E731
    monkeypatch.setattr(os, "fsync", lambda descriptor: (flushed.append(name_of(descriptor)), flush(descriptor)))
    monkeypatch.setattr(os, "replace", lambda old, new: (flushed.append(f"named {new}"), replace(old, new)))
    output = RunOutput(str(tmp_path / "run"))
    output.write_table("masks", "a-0-000000", pa.table({"x": [1]}))
    output.commit(commit_of("a-0", 0))
    shown = [
        re.sub(r"[0-9a-f]{32}|-[0-9a-f]{12}(?=\.parquet)", "", name.removeprefix(f"{tmp_path}/")) for name in flushed
    ]
    assert shown == [
        str(tmp_path),
        "run",
        "run/masks/..tmp",
        "named " + f"{tmp_path}/run/masks/a-0-000000.parquet",
        "run/masks",
        "run",
        "run/_commits",
        "run/_commits/a-0/..tmp",
        "named " + f"{tmp_path}/run/_commits/a-0/000000.json",
        "run/_commits/a-0",
    ]


@pytest.mark.slow
@pytest.mark.parametrize(("folder", "requests"), [("run", ["DeleteObjects"]), ("a [1]", ["DeleteObject"] * 5)])
def test_many_files_are_deleted_in_one_request_and_those_that_are_gone_are_no_error(
    s3_server: S3Server, monkeypatch: pytest.MonkeyPatch, folder: str, requests: list[str]
) -> None:
    output = RunOutput(f"{s3_server.bucket_url}/{folder}")
    for number in range(5):
        output.write_bytes(f"masks/{number}.parquet", b"x")
    files = output.stored("masks")
    sent: list[str] = []
    call = AioBaseClient._make_api_call

    async def counted(client: AioBaseClient, operation: str, arguments: dict[str, object]) -> object:
        if operation.startswith("Delete"):
            sent.append(operation)
        return await call(client, operation, arguments)

    monkeypatch.setattr(AioBaseClient, "_make_api_call", counted)
    output.delete([*files[:4], StoredFile("masks/never.parquet", 1, None)])
    assert [file.path for file in output.stored("masks")] == ["masks/4.parquet"]
    assert sent == requests
