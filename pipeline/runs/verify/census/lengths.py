"""How long a recording is by FFmpeg, asked of a process of its own: files from anywhere may crash it or never end."""

from __future__ import annotations

import json
import os
import select
import struct
import subprocess
import sys
from typing import IO, NamedTuple

# Seconds for one recording, and the bytes that are handed over at once.
_PATIENCE_S, _CHUNK_BYTES = 600.0, 1 << 20
_SIZE = struct.Struct(">Q")


class Length(NamedTuple):
    """A recording's seconds and channels; None, with the reason, where FFmpeg decodes no sound of it."""

    seconds: float | None
    channels: int = 0
    reason: str = ""


class LengthProcess:
    """Asks a process for lengths, one after the other, and starts another where it has died or takes too long."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> LengthProcess:
        return self

    def __exit__(self, *error: object) -> None:
        self._stop()

    def of(self, data: bytes) -> Length:
        """Return the length of a file with these bytes."""
        process = self._process or self._start()
        stdin, stdout = _pipe(process.stdin), _pipe(process.stdout)
        try:
            stdin.write(_SIZE.pack(len(data)))
            for start in range(0, len(data), _CHUNK_BYTES):
                stdin.write(data[start : start + _CHUNK_BYTES])
            stdin.flush()
            ready, _, _ = select.select([stdout], [], [], _PATIENCE_S)
            answer = stdout.readline() if ready else b""
        except OSError:
            answer = b""
        if not answer:
            self._stop()
            return Length(None, 0, "FFmpeg crashed on it, or did not end")
        return Length(**json.loads(answer))

    def _start(self) -> subprocess.Popen[bytes]:
        # Without the credentials of the environment.
        kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH") if name in os.environ}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "pipeline.runs.verify.census.length_main"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=kept,
        )
        return self._process

    def _stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    assert pipe is not None, "both pipes are asked for"
    return pipe
