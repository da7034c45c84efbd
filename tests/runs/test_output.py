from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.storage.errors import StorageError
from pipeline.runs.output import RunOutput
from schemas.records import CommitRecord, Cursor, FileRecord, Manifest, RunRecord


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


def manifest_of(tables: dict, audio: list[FileRecord]) -> Manifest:
    return Manifest(complete=True, recordings=1, windows=1, errors=0, parts=1, tables=tables, audio=audio, quarantined=[])


def run_record() -> RunRecord:
    return RunRecord(
        lmac_version="0", input_digest="d", shards=1, config={"a": 1}, explainer={}, packages={"numpy": "1"}
    )


def test_a_file_is_written_with_its_size_and_digest(tmp_path: Path) -> None:
    record = RunOutput(str(tmp_path / "run")).write_bytes("audio/a/b c.flac", b"data", "listenables", 3)
    assert (tmp_path / "run" / "audio" / "a" / "b c.flac").read_bytes() == b"data"
    digest = hashlib.sha256(b"data").hexdigest()
    assert record == FileRecord(path="audio/a/b c.flac", bytes=4, sha256=digest, table="listenables", rows=3)


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
    assert output.commits() == []
    for shard_id, part in [("b-1", 0), ("a-0", 1), ("a-0", 0), ("a-0", 1)]:
        output.commit(commit_of(shard_id, part))
    assert output.commits() == [commit_of("a-0", 0), commit_of("a-0", 1), commit_of("b-1", 0)]
    assert output.committed_parts() == {"a-0": [0, 1], "b-1": [0]}
    assert output.committed_parts("a-0") == {"a-0": [0, 1]}
    assert output.committed_parts("never-2") == {}
    assert output.read_part("a-0", 1) == commit_of("a-0", 1)


@pytest.mark.parametrize("data", [b"", b'{"shard_id": "a', b"{}", b'{"record_version": 1, "from_the_future": 1}'])
def test_a_damaged_commit_is_named(tmp_path: Path, data: bytes) -> None:
    output = RunOutput(str(tmp_path))
    output.commit(commit_of("a-0", 0))
    (tmp_path / "_commits" / "a-0" / "000001.json").write_bytes(data)
    with pytest.raises(StorageError, match=r"_commits/a-0/000001.json: it is not a valid CommitRecord") as caught:
        output.commits()
    message = str(caught.value)
    assert "\n" not in message
    assert "pydantic" not in message
    assert message.endswith("delete it and give the same `lmac explain` again, which makes its part anew")


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


def test_a_reader_goes_by_the_manifest(tmp_path: Path) -> None:
    output = RunOutput(str(tmp_path))
    with pytest.raises(StorageError, match=r"no _manifest\.json: the run is not finished"):
        output.read_manifest()
    kept = output.write_table("masks", "a-0-000000", pa.table({"x": [1]}))
    output.write_table("masks", "a-0-000000", pa.table({"x": [2]}))
    manifest = manifest_of({"masks": [kept]}, [])
    output.write_manifest(manifest)
    assert output.read_manifest() == manifest
    assert output.files("masks") == [str(tmp_path / kept.path)]
    assert output.files("listenables") == []


def test_orphans_are_swept_and_nothing_else_is(tmp_path: Path) -> None:
    output = RunOutput(str(tmp_path))
    table = output.write_table("masks", "a-0-000000", pa.table({"x": [1]}))
    audio = output.write_bytes("audio/a/1.flac", b"1")
    output.write_bytes("masks/old.parquet", b"x")
    output.write_bytes("audio/a/2.flac", b"2")
    (tmp_path / "listenables").mkdir()
    (tmp_path / "recordings" / ".left.tmp").write_bytes(b"half")
    output.commit(commit_of("a-0", 0))
    (tmp_path / "report.html").write_text("mine")
    manifest = manifest_of({"masks": [table]}, [audio])
    assert output.sweep_orphans(manifest) == ["audio/a/2.flac", "recordings/.left.tmp", "masks/old.parquet"]
    assert output.sweep_orphans(manifest) == []
    left = sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file())
    assert left == sorted([table.path, audio.path, "_commits/a-0/000000.json", "report.html"])
