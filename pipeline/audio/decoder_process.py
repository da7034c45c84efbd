"""Decoding in a separate process: a recording that crashes, hangs or bloats the decoder costs that recording alone."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from itertools import islice
from types import TracebackType
from typing import Any, BinaryIO

import numpy as np

from pipeline.audio.decode import AudioFault, AudioFormat, Block, Damage, Ended, Item, Span
from pipeline.audio.pipe_messages import opened, receive, send
from pipeline.audio.ranges import StoredAudio, opened_audio, read_range

# The time limit between two signs of progress, each of which is some seconds of sound: far more than decoding needs,
# even on a busy machine. All of a file may be read before the first sign.
SECONDS, SECONDS_PER_MEGABYTE = 60.0, 0.2
# The memory limit of a recording, on top of the libraries: room for a codec and for blocks of samples, and copies of
# the file if it was sent along.
ROOM_BYTES, COPIES_OF_FILE = 640 << 20, 4
START_SECONDS = 300.0
_LONGEST_WAIT_S = 1e6
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


def time_limit(size_bytes: int) -> float:
    """Return the seconds that a file of this size may be decoded without a sign of progress."""
    return SECONDS + SECONDS_PER_MEGABYTE * size_bytes / 1e6


def memory_limit(held_bytes: int) -> int:
    """Return the bytes of memory that decoding may take, with `held_bytes` of the file in memory."""
    return ROOM_BYTES + COPIES_OF_FILE * held_bytes


class DecoderProcess:
    """Decodes recordings one after another in a child process, which the first recording starts.

    As a context manager it ends the child with the block; in any case the child ends with this process.
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

    def stream(
        self,
        source: bytes | StoredAudio,
        name: str,
        sample_rate: int,
        channel: str = "mix",
        spans: Sequence[Span] = ((0, None),),
        max_seconds: float | None = None,
    ) -> Iterator[Item]:
        """Decode an audio file as `pipeline.audio.decode.stream_audio` does; the samples cannot be written to.

        A file in storage is read here, by the ranges that the child asks for. Raises AudioFault as `stream_audio` does,
        and also: "crashed" when the child dies twice on the file (once may be the machine's fault), "too_slow" when it
        makes no progress for `time_limit`, "out_of_memory" when it takes more than `memory_limit`. Raises RuntimeError
        when no child can be started, and whatever opening and reading the file raises.
        """
        size = len(source) if isinstance(source, bytes) else source.size_bytes
        held = source if isinstance(source, bytes) else b""
        request = {"sample_rate": sample_rate, "channel": channel, "spans": spans, "max_seconds": max_seconds}
        request |= {"name": name, "size": None if isinstance(source, bytes) else size}
        limits = {"memory": memory_limit(len(held)), "seconds": time_limit(size)}
        with self._lock, closing(opened_audio(source)) as file:
            done = 0
            try:
                for item in self._stream(file, held, request, **limits):
                    done += 1
                    yield item
                return
            except _ChildDiedError:
                pass
            try:
                # The same items once more, without those already yielded.
                yield from islice(self._stream(file, held, request, **limits), done, None)
            except _ChildDiedError as crash:
                if crash.peak_bytes > limits["memory"] // 2:
                    took = f"decoding it took {crash.peak_bytes >> 20} MiB and ended its process ({crash.how})"
                    raise AudioFault("out_of_memory", f"{name}: {took}") from None
                raise AudioFault("crashed", f"{name}: decoding it ended its process, twice ({crash.how})") from None

    def _stream(
        self, file: BinaryIO, held: bytes, request: dict[str, Any], memory: float, seconds: float
    ) -> Iterator[Item]:
        if self._child is not None and self._child.has_ended():
            self._end(self._child)
        if self._child is None:
            self._child = _start()
        child = self._child
        try:
            send(child.requests, {**request, "memory": memory}, held)
            while True:
                reply, payload = child.reply(file, seconds)
                if "done" in reply:
                    return
                if "fault" in reply:
                    break
                yield _item(reply, payload)
        except _SourceError as unread:
            self._end(child)
            raise unread.error from None
        except (OSError, EOFError):
            crash = self._end(child)
            if child.watchdog.timed_out:
                words = f"decoding it makes no progress for {seconds:.0f} s"
                raise AudioFault("too_slow", f"{request['name']}: {words}") from None
            raise crash from None
        except BaseException:
            self._end(child)  # else a reply to this recording would be taken for one to the next
            raise
        if reply["fault"] == "out_of_memory":
            self._end(child)  # its memory may be fragmented
        raise AudioFault(reply["fault"], reply["message"])

    def _end(self, child: _Child) -> _ChildDiedError:
        self._child = None
        return child.end()


class _ChildDiedError(Exception):
    """The child died: how, and its peak memory, 0 if that is not known."""

    def __init__(self, how: str, peak_bytes: int) -> None:
        super().__init__(how)
        self.how, self.peak_bytes = how, peak_bytes


class _SourceError(Exception):
    """The file could not be read from its storage."""

    def __init__(self, error: Exception) -> None:
        super().__init__(error)
        self.error = error


class _Watchdog:
    """Kills a process that keeps its reader waiting for too long; `timed_out` says whether it has."""

    def __init__(self, pid: int) -> None:
        self.timed_out = False
        # It wakes at the last deadline it slept for, finds a later one, and sleeps on: few waits cost a thread switch.
        self._pid, self._deadline, self._wakes, self._ended = pid, math.inf, math.inf, False
        self._changed = threading.Condition()
        threading.Thread(target=self._watch, daemon=True).start()

    @contextmanager
    def watching(self, seconds: float) -> Iterator[None]:
        """Kill the process if the block takes longer, which ends a wait for its reply."""
        with self._changed:
            self._deadline = time.monotonic() + min(seconds, _LONGEST_WAIT_S)
            if self._deadline < self._wakes:
                self._changed.notify()
        try:
            yield
        finally:
            with self._changed:
                self._deadline = math.inf

    def end(self) -> None:
        """Kill nothing from now on."""
        with self._changed:
            self._ended = True
            self._changed.notify()

    def _watch(self) -> None:
        with self._changed:
            while not self._ended:
                left = self._deadline - time.monotonic()
                if left > 0:
                    self._wakes = self._deadline
                    self._changed.wait(min(left, _LONGEST_WAIT_S))
                else:
                    self.timed_out = True
                    os.kill(self._pid, signal.SIGKILL)
                    return


@dataclass(frozen=True)
class _Child:
    """A running `pipeline.audio.decoder_main`, the pipes to and from it, and its peak memory when it was ready."""

    process: subprocess.Popen[bytes]
    requests: BinaryIO
    replies: BinaryIO
    watchdog: _Watchdog
    peak_kib: int = 0

    def has_ended(self) -> bool:
        """Return True when it died between two recordings."""
        return os.waitid(os.P_PID, self.process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def reply(self, file: BinaryIO, seconds: float) -> tuple[dict[str, Any], bytes]:
        """Wait for its next message, `seconds` at most, and send it the ranges of the file that it asks for."""
        while True:
            begun = time.monotonic()
            with self.watchdog.watching(seconds):
                header, payload = receive(self.replies)
            if "read" not in header:
                return header, payload
            # The time that storage takes is not charged to the child.
            seconds -= time.monotonic() - begun
            try:
                data = read_range(file, *header["read"])
            except Exception as error:
                raise _SourceError(error) from error
            send(self.requests, {}, data)

    def end(self) -> _ChildDiedError:
        """Kill it, and return how it ended."""
        self.watchdog.end()
        os.kill(self.process.pid, signal.SIGKILL)
        # Not `Popen.wait`, which does not return the memory it took.
        _, status, usage = os.wait4(self.process.pid, 0)
        self.process.returncode = os.waitstatus_to_exitcode(status)
        self.replies.close()
        with suppress(OSError):  # closing flushes a request that nobody reads
            self.requests.close()
        # Linux counts the memory that the parent held at the start as the child's: only what exceeds it is its own.
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
    child = _Child(process, opened(requests, "wb"), opened(replies, "rb"), _Watchdog(process.pid))
    try:
        with child.watchdog.watching(START_SECONDS):
            ready, _ = receive(child.replies)
    except EOFError:
        how = child.end().how
        raise RuntimeError(f"the process that decodes audio did not start ({how}); its log says why") from None
    return replace(child, peak_kib=ready["peak_kib"])


def _item(reply: dict[str, Any], payload: bytes) -> Item:
    if "block" in reply:
        channels, counts = len(reply["clipped"]), reply["clipped"]
        behind = len(payload) - 4 * sum(counts)
        samples = np.frombuffer(payload, np.float32, behind // 4).reshape(channels, -1)
        clipped = np.split(np.frombuffer(payload, np.int32, offset=behind), np.cumsum(counts)[:-1])
        return Block(reply["block"], samples, tuple(clipped))
    (kind, fields), *_ = reply.items()
    return {"format": AudioFormat, "damage": Damage, "ended": Ended}[kind](**fields)


def _child_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name in _INHERITED} | _ENVIRONMENT


def _ending(code: int) -> str:
    try:
        return signal.Signals(-code).name if code < 0 else f"exit code {code}"
    except ValueError:
        return f"signal {-code}"
