"""Decoding in a process of its own: a recording that kills, hangs or swells the decoder costs that recording alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from types import TracebackType
from typing import BinaryIO

import numpy as np

from pipeline.audio.decode import AudioFault, DecodedAudio
from pipeline.audio.pipe_messages import opened, receive, send

# The time limit of a recording: far more than decoding needs, even on a busy machine.
SECONDS, SECONDS_PER_SECOND, SECONDS_PER_MEGABYTE = 60.0, 0.1, 1.0
# Its memory limit, beside the libraries: room for a codec, copies of the file, and copies of the waveform.
ROOM_BYTES, COPIES_OF_FILE, COPIES_OF_WAVEFORM = 512 << 20, 4, 4
START_SECONDS = 300.0
# All that the child inherits of the environment: hostile files must find no credentials there (AWS_*, tokens).
_INHERITED = frozenset(
    {
        *("PATH", "HOME", "TMPDIR", "LANG", "LANGUAGE", "LC_ALL", "LC_CTYPE", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"),
        *("PYTHONPATH", "PYTHONHOME", "PYTHONUSERBASE", "PYTHONNOUSERSITE", "PYTHONUTF8"),
        *("PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX"),
    }
)
_ENVIRONMENT = {
    # BLAS would reserve memory for a thread per core, and decoding uses none.
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    # glibc would give each waveform's memory back to the kernel, and fetch it again for the next recording.
    "MALLOC_MMAP_THRESHOLD_": str(32 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(64 << 20),
}


def time_limit(size_bytes: int, max_seconds: float) -> float:
    """The seconds that decoding a file of this size may take, where recordings of `max_seconds` are accepted."""
    return SECONDS + SECONDS_PER_SECOND * max_seconds + SECONDS_PER_MEGABYTE * size_bytes / 1e6


def memory_limit(size_bytes: int, sample_rate: int, max_seconds: float) -> int:
    """The bytes of memory that decoding a file of this size may take, for recordings of up to `max_seconds`."""
    waveform = min(4 * sample_rate * max_seconds, 1 << 50)
    return ROOM_BYTES + COPIES_OF_FILE * size_bytes + round(COPIES_OF_WAVEFORM * waveform)


class DecoderProcess:
    """Decodes recordings one after another in a child process, which the first of them starts.

    The child ends with the block, where this is used as a context manager, and in any case with this process.
    """

    def __init__(self) -> None:
        self._child: _Child | None = None
        self._lock = threading.Lock()

    def __enter__(self) -> DecoderProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._child is not None:
            self._end(self._child)

    def decode(self, data: bytes, name: str, sample_rate: int, max_seconds: float) -> DecodedAudio:
        """Decode an audio file as `pipeline.audio.decode.decode` does; the waveform cannot be written to.

        Raises AudioFault as that does, and besides: "crashed" when the child dies of the file twice (once may be the
        machine's doing), "too_slow" when it takes longer than `time_limit`, "out_of_memory" when it takes more than
        `memory_limit`. Raises RuntimeError when no child can be started.
        """
        with self._lock:
            try:
                return self._decode(data, name, sample_rate, max_seconds)
            except _ChildDiedError:
                pass
            try:
                return self._decode(data, name, sample_rate, max_seconds)
            except _ChildDiedError as crash:
                if crash.peak_bytes > memory_limit(len(data), sample_rate, max_seconds) // 2:
                    took = f"decoding it took {crash.peak_bytes >> 20} MiB and ended its process ({crash.how})"
                    raise AudioFault("out_of_memory", f"{name}: {took}") from None
                raise AudioFault("crashed", f"{name}: decoding it ended its process, twice ({crash.how})") from None

    def _decode(self, data: bytes, name: str, sample_rate: int, max_seconds: float) -> DecodedAudio:
        memory, seconds = memory_limit(len(data), sample_rate, max_seconds), time_limit(len(data), max_seconds)
        request = {"name": name, "sample_rate": sample_rate, "max_seconds": max_seconds, "memory": memory}
        if self._child is not None and self._child.has_ended():
            self._end(self._child)
        if self._child is None:
            self._child = _start()
        child = self._child
        try:
            with child.killed_after(seconds) as timed_out:
                send(child.requests, request, data)
                reply, payload = receive(child.replies)
        except (OSError, EOFError):
            crash = self._end(child)
            if timed_out.is_set():
                raise AudioFault("too_slow", f"{name}: decoding it takes longer than {seconds:.0f} s") from None
            raise crash from None
        except BaseException:
            self._end(child)  # else the reply to this recording would be taken for the next one's
            raise
        if "reason" in reply:
            if reply["reason"] == "out_of_memory":
                self._end(child)  # its memory may be fragmented
            raise AudioFault(reply["reason"], reply["message"])
        return DecodedAudio(np.frombuffer(payload, np.float32), reply["sample_rate_in"], reply["channels_in"])

    def _end(self, child: _Child) -> _ChildDiedError:
        self._child = None
        return child.end()


class _ChildDiedError(Exception):
    """The child died: how, and its peak memory, 0 where that is not known."""

    def __init__(self, how: str, peak_bytes: int) -> None:
        super().__init__(how)
        self.how, self.peak_bytes = how, peak_bytes


@dataclass(frozen=True)
class _Child:
    """A running `pipeline.audio.decoder_main`, the pipes to and from it, and its peak memory when it was ready."""

    process: subprocess.Popen[bytes]
    requests: BinaryIO
    replies: BinaryIO
    peak_kib: int = 0

    def has_ended(self) -> bool:
        """Return True when it died between two recordings."""
        return os.waitid(os.P_PID, self.process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    @contextmanager
    def killed_after(self, seconds: float) -> Iterator[threading.Event]:
        """Kill it if the block takes longer, which ends a wait for its reply; the event is set where that happened."""
        timed_out = threading.Event()

        def stop() -> None:
            timed_out.set()
            os.kill(self.process.pid, signal.SIGKILL)

        timer = threading.Timer(min(seconds, threading.TIMEOUT_MAX), stop)
        timer.daemon = True
        timer.start()
        try:
            yield timed_out
        finally:
            timer.cancel()
            timer.join()  # so that it never kills a process that is not there any more

    def end(self) -> _ChildDiedError:
        """Kill it, and return how it ended."""
        os.kill(self.process.pid, signal.SIGKILL)
        # Not `Popen.wait`, which does not return the memory it took.
        _, status, usage = os.wait4(self.process.pid, 0)
        self.process.returncode = os.waitstatus_to_exitcode(status)
        self.replies.close()
        with suppress(OSError):  # closing flushes a request that nobody reads
            self.requests.close()
        # Linux counts what the process that started it held at the start as its own: only what is above is.
        peak = usage.ru_maxrss << 10 if usage.ru_maxrss > self.peak_kib else 0
        return _ChildDiedError(_ending(self.process.returncode), peak)


def _start() -> _Child:
    """Start a child and wait until it is ready; raises RuntimeError when it never is."""
    (child_requests, requests), (replies, child_replies) = os.pipe(), os.pipe()
    try:
        # Pipes of their own: what a library prints to stdout must not come between replies.
        process = subprocess.Popen(
            [sys.executable, "-m", "pipeline.audio.decoder_main", str(child_requests), str(child_replies)],
            stdin=subprocess.DEVNULL,
            stdout=2,
            pass_fds=(child_requests, child_replies),
            env=_child_environment(),
        )
    except OSError:
        os.close(requests)
        os.close(replies)
        raise
    finally:
        os.close(child_requests)
        os.close(child_replies)
    child = _Child(process, opened(requests, "wb"), opened(replies, "rb"))
    try:
        with child.killed_after(START_SECONDS):
            ready, _ = receive(child.replies)
    except EOFError:
        how = child.end().how
        raise RuntimeError(f"the process that decodes audio did not start ({how}); its log says why") from None
    return replace(child, peak_kib=ready["peak_kib"])


def _child_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name in _INHERITED} | _ENVIRONMENT


def _ending(code: int) -> str:
    try:
        return signal.Signals(-code).name if code < 0 else f"exit code {code}"
    except ValueError:
        return f"signal {-code}"
