"""Everything again on a real S3 server: it must be as on the local disk."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

import pyarrow as pa
import pytest
import s3fs

from pipeline.inputs.label_table import load_labels
from pipeline.inputs.listing import list_input
from pipeline.inputs.readers import read_shard
from pipeline.runs.output import RunOutput
from pipeline.storage.errors import InputError, StorageError
from schemas.input_config import InputConfig
from tests.faults.proxy import faulty_s3
from tests.inputs.make import mixture, read_all
from tests.inputs.test_readers import damaged_inputs
from tests.runs.test_output import commit_of, manifest_of, run_record
from tests.s3 import S3Server

pytestmark = pytest.mark.slow


def test_reading_s3_is_reading_the_local_disk(s3_server: S3Server) -> None:
    damaged_inputs(s3_server.bucket_dir)
    (s3_server.bucket_dir / "recordings.csv").write_text("path,label\nloose/a b.wav,dog\ngone.wav,cat\n")
    for part in ("", "/shard-000.tar", "/table.parquet", "/loose/*", "/recordings.csv"):
        local = list_input(f"{s3_server.bucket_dir}{part}")
        remote = list_input(f"{s3_server.bucket_url}{part}")
        assert (remote.shards, remote.digest, remote.left_out) == (local.shards, local.digest, local.left_out)
        assert read_all(remote) == read_all(local)
    table = load_labels(InputConfig(labels=f"{s3_server.bucket_url}/recordings.csv"))
    assert table is not None
    assert table.rows["gone.wav"].whole == {"label": "cat"}


def test_reading_from_k_on_s3(s3_server: S3Server) -> None:
    listing = list_input(f"{s3_server.bucket_url}/{mixture(s3_server.bucket_dir / 'x').name}")
    for shard in listing.shards:
        whole = list(read_shard(listing.root_url, shard))
        assert list(read_shard(listing.root_url, shard, 1)) == whole[1:]


def test_a_run_on_s3_from_its_first_record_to_its_last(s3_server: S3Server) -> None:
    output = RunOutput(f"{s3_server.bucket_url}/runs/one")
    assert output.read_run_record() is None
    assert list(output.commits()) == []
    output.write_run_record(run_record())
    kept = output.write_table("masks", "a-0-000000", pa.table({"x": [1]}))
    output.write_table("masks", "a-0-000000", pa.table({"x": [2]}))
    for part in range(20):
        output.commit(commit_of("a-0", part, [kept]))
    assert [commit.part for commit in output.commits()] == list(range(20))
    manifest = manifest_of(output, [kept])
    assert len(output.sweep_orphans({file.path for file in output.files()})) == 1
    output.write_success()

    reader = RunOutput(f"{s3_server.bucket_url}/runs/one")
    assert (reader.read_run_record(), reader.read_manifest()) == (run_record(), manifest)
    assert reader.succeeded()
    assert reader.files("masks") == [kept]
    assert (s3_server.bucket_dir / "runs" / "one" / kept.path).stat().st_size == kept.bytes


def test_what_another_process_wrote_is_seen_at_once(s3_server: S3Server) -> None:
    mixture(s3_server.bucket_dir)
    before = list_input(s3_server.bucket_url)
    s3fs.S3FileSystem(skip_instance_cache=True).pipe_file("bucket/new.wav", b"new")
    assert list_input(s3_server.bucket_url).digest != before.digest


def test_what_is_missing_or_refused_is_said_with_a_hint(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="s3://no-such-bucket/a: it does not exist"):
        list_input("s3://no-such-bucket/a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    s3fs.S3FileSystem.clear_instance_cache()
    with pytest.raises(StorageError, match=r"listing s3://bucket: access denied .* check the credentials"):
        list_input(s3_server.bucket_url)


def test_without_credentials_it_says_which_to_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    s3fs.S3FileSystem.clear_instance_cache()
    try:
        with pytest.raises(StorageError, match="no S3 credentials were found: set AWS_PROFILE, or"):
            list_input("s3://bucket/a")
    finally:
        s3fs.S3FileSystem.clear_instance_cache()


def test_a_write_outlives_an_outage_of_the_server(s3_server: S3Server) -> None:
    output = RunOutput(f"{s3_server.bucket_url}/run")
    output.write_bytes("audio/before.flac", b"1")
    s3_server.stop()
    writing = threading.Thread(target=output.write_bytes, args=("audio/during.flac", b"2"))
    writing.start()
    time.sleep(2)
    assert writing.is_alive()
    s3_server.start()
    writing.join(60)
    assert not writing.is_alive()
    assert (s3_server.bucket_dir / "run" / "audio" / "during.flac").read_bytes() == b"2"


def test_a_write_outlives_a_server_that_takes_it_and_never_says_a_word(
    s3_server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.storage.filesystem.WRITE_S", 2.0)
    with faulty_s3(urlsplit(s3_server.endpoint).port or 80) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
        s3fs.S3FileSystem.clear_instance_cache()
        output = RunOutput(f"{s3_server.bucket_url}/run")
        output.write_bytes("audio/before.flac", b"1")
        proxy.fail("mute", 1.0)
        writing = threading.Thread(target=output.write_bytes, args=("audio/during.flac", b"2"))
        writing.start()
        writing.join(30)
        assert not writing.is_alive()
        assert proxy.met["mute"] == 1
    s3fs.S3FileSystem.clear_instance_cache()
    assert (s3_server.bucket_dir / "run" / "audio" / "during.flac").read_bytes() == b"2"
