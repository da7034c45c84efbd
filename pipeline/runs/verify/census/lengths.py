"""Measure recordings with FFmpeg in separate processes: files from anywhere may crash it or never end."""

from __future__ import annotations

import json
import os
import select
import struct
import subprocess
import sys
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue
from typing import IO, NamedTuple

# Seconds for one recording, and the bytes that are sent at once.
_PATIENCE_S, _CHUNK_BYTES = 600.0, 1 << 20
_MAX_PROCESSES, _KNOWN = 8, 1024
_SIZE = struct.Struct(">Q")


class Length(NamedTuple):
    """A recording's seconds; None, with the reason, if FFmpeg decodes no sound of it."""

    seconds: float | None
    reason: str = ""


class LengthPool:
    """A pool of processes that measure lengths, with a cache of the last answers, as a file may have many segments."""

    def __init__(self) -> None:
        self._count = min(os.cpu_count() or 1, _MAX_PROCESSES)
        self._pool = ThreadPoolExecutor(self._count)
        self._free: SimpleQueue[_LengthProcess] = SimpleQueue()
        self._processes = [_LengthProcess() for _ in range(self._count)]
        for process in self._processes:
            self._free.put(process)
        self._known: OrderedDict[str, Future[Length]] = OrderedDict()

    def __enter__(self) -> LengthPool:
        return self

    def __exit__(self, *error: object) -> None:
        self._pool.shutdown(cancel_futures=True)
        for process in self._processes:
            process.stop()

    @property
    def ahead(self) -> int:
        """How many recordings may be held while they are measured."""
        return 2 * self._count

    def ask(self, name: str, read: Callable[[], bytes]) -> Future[Length]:
        """Return a future of a file's length; the file is not read again if its name was just asked for."""
        if name and name in self._known:
            return self._known[name]
        answer = self._pool.submit(self._of, read())
        if name:
            self._known[name] = answer
        if len(self._known) > _KNOWN:
            self._known.popitem(last=False)
        return answer

    def _of(self, data: bytes) -> Length:
        process = self._free.get()
        try:
            return process.of(data)
        finally:
            self._free.put(process)


class _LengthProcess:
    """Asks a process for lengths, one after the other, and starts another if it died or takes too long."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

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
            self.stop()
            return Length(None, "FFmpeg crashed on it, or did not end")
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

    def stop(self) -> None:
        """End the process, if there is one."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    assert pipe is not None, "both pipes are asked for"
    return pipe
