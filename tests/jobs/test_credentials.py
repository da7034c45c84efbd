"""Credentials stand in nothing that the commands write: tables, pages, messages, or Ray's own logs."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.flow.make import mixed_recordings, write_folder
from tests.s3 import serve_s3

pytestmark = [pytest.mark.slow, pytest.mark.ray]

WRONG = "a-secret-that-is-wrong"


def holding(folders: list[Path], secrets: list[str]) -> list[str]:
    """The files below the folders in which one of the secrets stands; tables are searched as what they hold."""
    found = []
    for path in (path for folder in folders for path in folder.rglob("*") if path.is_file()):
        data = path.read_bytes()
        if path.suffix == ".parquet":
            table = pq.read_table(io.BytesIO(data))
            data += repr([*table.to_pylist(), table.schema.metadata]).encode()
        found += [f"{path}: {secret}" for secret in secrets if secret.encode() in data]
    return found


@pytest.fixture
def ray_folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    # Not below pytest's folder: the names of Ray's sockets would be too long.
    with tempfile.TemporaryDirectory(prefix="lmac-ray-", ignore_cleanup_errors=True) as folder:
        monkeypatch.setenv("RAY_TMPDIR", folder)
        yield Path(folder)


def test_a_secret_in_a_table_is_found(tmp_path: Path) -> None:
    pq.write_table(pa.table({"words": ["between", f"of {WRONG} and"] * 500}), tmp_path / "a.parquet")
    (tmp_path / "a.txt").write_text("nothing")
    assert len(holding([tmp_path], [WRONG])) == 1


def test_the_keys_of_s3_stand_in_nothing_that_is_written(
    tmp_path: Path, tiny_explainer: str, ray_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = tmp_path / "said"
    said.mkdir()

    def lmac(*command: str) -> int:
        done = subprocess.run(
            [sys.executable, "-c", "from jobs.cli import main; main()", *command],
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            capture_output=True,
            timeout=300,
        )
        (said / f"{len(list(said.iterdir()))}.txt").write_bytes(done.stdout + done.stderr)
        return done.returncode

    with serve_s3(tmp_path / "s3") as server:
        write_folder(server.bucket_dir / "listenables", mixed_recordings())
        shutil.copytree(tiny_explainer, server.bucket_dir / "explainer")
        source, output, explainer = (f"{server.bucket_url}/{name}" for name in ("listenables", "run", "explainer"))
        small = ("--device", "cpu", "--actors", "1", "--cpus-per-actor", "1", "--listenables", "both")
        assert lmac("explain", source, output, "--explainer", explainer, *small) == 0
        assert lmac("verify", output, "--deep", "3", "--input", source, "--explainer", explainer) == 0
        assert lmac("status", output) == 0
        assert lmac("explain", source, "s3://no-such-bucket/run", "--explainer", explainer, *small) == 1
        secrets = [os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"], WRONG]
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", WRONG)
        assert lmac("explain", source, output, "--explainer", explainer, *small) == 1
        assert lmac("status", output) == 1
    written = [path for path in (tmp_path / "s3").rglob("run/**/*") if path.is_file()]
    assert {path.suffix for path in written} >= {".parquet", ".json"}
    assert any(path.suffix == ".log" for path in ray_folder.rglob("*"))
    assert holding([tmp_path / "s3", said, ray_folder], secrets) == []
