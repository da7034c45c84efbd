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

from pipeline.audio.decode import DecodedAudio
from pipeline.audio.faults import AudioFault
from pipeline.audio.pipe_messages import opened, receive, send

# A recording may take so long: far more than any that can be decoded needs on a machine that has other work too.
SECONDS, SECONDS_PER_SECOND, SECONDS_PER_MEGABYTE = 60.0, 0.1, 1.0
# And so much memory beside the libraries': room for a codec, copies of the file, and copies of the waveform.
ROOM_BYTES, COPIES_OF_FILE, COPIES_OF_WAVEFORM = 512 << 20, 4, 4
START_SECONDS = 300.0
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
        self._turn = threading.Lock()

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
        with self._turn:
            try:
                return self._decode(data, name, sample_rate, max_seconds)
            except _DiedError:
                pass
            try:
                return self._decode(data, name, sample_rate, max_seconds)
            except _DiedError as death:
                if death.peak_bytes > memory_limit(len(data), sample_rate, max_seconds) // 2:
                    words = f"decoding it took {death.peak_bytes >> 20} MiB and ended its process ({death.how})"
                    raise AudioFault("out_of_memory", f"{name}: {words}") from None
                raise AudioFault("crashed", f"{name}: decoding it ended its process, twice ({death.how})") from None

    def _decode(self, data: bytes, name: str, sample_rate: int, max_seconds: float) -> DecodedAudio:
        memory, seconds = memory_limit(len(data), sample_rate, max_seconds), time_limit(len(data), max_seconds)
        asked = {"name": name, "sample_rate": sample_rate, "max_seconds": max_seconds, "memory": memory}
        if self._child is not None and self._child.has_ended():
            self._end(self._child)
        if self._child is None:
            self._child = _start()
        child = self._child
        try:
            with child.killed_after(seconds) as late:
                send(child.asking, asked, data)
                answer, payload = receive(child.answering)
        except (OSError, EOFError):
            death = self._end(child)
            if late.is_set():
                raise AudioFault("too_slow", f"{name}: decoding it takes longer than {seconds:.0f} s") from None
            raise death from None
        except BaseException:
            self._end(child)  # else the answer to this recording would be taken for the next one's
            raise
        if "reason" in answer:
            if answer["reason"] == "out_of_memory":
                self._end(child)  # what is left of its memory may be in pieces
            raise AudioFault(answer["reason"], answer["message"])
        return DecodedAudio(np.frombuffer(payload, np.float32), answer["sample_rate_in"], answer["channels_in"])

    def _end(self, child: _Child) -> _DiedError:
        self._child = None
        return child.end()


class _DiedError(Exception):
    """The child died: how, and the most memory that it had held, 0 where that is not known."""

    def __init__(self, how: str, peak_bytes: int) -> None:
        super().__init__(how)
        self.how, self.peak_bytes = how, peak_bytes


@dataclass(frozen=True)
class _Child:
    """A running `pipeline.audio.decoder_main`, the pipes to and from it, and its peak of memory when it was ready."""

    process: subprocess.Popen[bytes]
    asking: BinaryIO
    answering: BinaryIO
    peak_kib: int = 0

    def has_ended(self) -> bool:
        """Return True when it died while it had nothing to do."""
        return os.waitid(os.P_PID, self.process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    @contextmanager
    def killed_after(self, seconds: float) -> Iterator[threading.Event]:
        """Kill it if the block takes longer, so that what waits for it ends; the event tells whether that was so."""
        late = threading.Event()

        def stop() -> None:
            late.set()
            os.kill(self.process.pid, signal.SIGKILL)

        timer = threading.Timer(min(seconds, threading.TIMEOUT_MAX), stop)
        timer.daemon = True
        timer.start()
        try:
            yield late
        finally:
            timer.cancel()
            timer.join()  # so that it never kills a process that is not there any more

    def end(self) -> _DiedError:
        """End it, whatever it is doing, and tell how it ended."""
        os.kill(self.process.pid, signal.SIGKILL)
        # Not `Popen.wait`, which does not tell how much memory it took.
        _, status, usage = os.wait4(self.process.pid, 0)
        self.process.returncode = os.waitstatus_to_exitcode(status)
        self.answering.close()
        with suppress(OSError):  # what it had not read is of no use any more
            self.asking.close()
        # Linux counts what the process that started it held at the start as its own: only what is above is.
        peak = usage.ru_maxrss << 10 if usage.ru_maxrss > self.peak_kib else 0
        return _DiedError(_ending(self.process.returncode), peak)


def _start() -> _Child:
    """Start a child and wait until it is ready; raises RuntimeError when it never is."""
    (its_clips, asking), (answering, its_answers) = os.pipe(), os.pipe()
    try:
        # Pipes of their own, for what a library prints must not come between answers.
        process = subprocess.Popen(
            [sys.executable, "-m", "pipeline.audio.decoder_main", str(its_clips), str(its_answers)],
            stdin=subprocess.DEVNULL,
            stdout=2,
            pass_fds=(its_clips, its_answers),
            env={**os.environ, **_ENVIRONMENT},
        )
    except OSError:
        os.close(asking)
        os.close(answering)
        raise
    finally:
        os.close(its_clips)
        os.close(its_answers)
    child = _Child(process, opened(asking, "wb"), opened(answering, "rb"))
    try:
        with child.killed_after(START_SECONDS):
            ready, _ = receive(child.answering)
    except EOFError:
        how = child.end().how
        raise RuntimeError(f"the process that decodes audio did not start ({how}); its log says why") from None
    return replace(child, peak_kib=ready["peak_kib"])


def _ending(code: int) -> str:
    try:
        return signal.Signals(-code).name if code < 0 else f"exit code {code}"
    except ValueError:
        return f"signal {-code}"
