"""The child process that decodes: recordings come in over one pipe, waveforms go out over another.

`pipeline.audio.decoder_process` starts it as `python -m pipeline.audio.decoder_main FD FD`, with the pipes' file
descriptors. It imports nothing but `pipeline.audio`, and ends when its parent does. A file that was not sent along is
read by ranges, requested from the parent: the child knows neither where it is nor how to reach it.
"""

from __future__ import annotations

import contextlib
import io
import os
import resource
import select
import signal
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO

import numpy as np

from pipeline.audio.decode import AudioFault, AudioFormat, Block, Damage, Item, stream_audio
from pipeline.audio.pipe_messages import opened, receive, send
from pipeline.audio.ranges import ranged_file

# When memory runs out, the kernel kills this process before its parent.
_OOM_SCORE = "700"
# Decoded sound is sent at least this often, so that the parent sees progress.
_SEND_EVERY_S = 1.0


def main() -> None:
    """Decode recording after recording until the parent closes the pipe."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
        file.write(_OOM_SCORE)
    requests_fd, replies_fd = map(int, sys.argv[1:])
    threading.Thread(target=_end_with_parent, args=(requests_fd,), daemon=True).start()
    own = _address_space()
    with opened(requests_fd, "rb") as requests, opened(replies_fd, "wb") as replies:
        send(replies, {"peak_kib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss})
        while True:
            try:
                request, data = receive(requests)
            except EOFError:
                return
            memory, size = request.pop("memory"), request.pop("size")
            if own is not None:
                _limit_memory(own + memory)
            sound = io.BytesIO(data) if size is None else ranged_file(size, _Fetch(requests, replies))
            del data
            send_in_time(replies, _replies(sound, **request))
            del sound


def send_in_time(pipe: BinaryIO, messages: Iterable[tuple[dict[str, Any], bytes | memoryview]]) -> None:
    """Send headers with their payloads; none waits much longer than a second for others to follow."""
    sent = time.monotonic()
    for header, payload in messages:
        now = time.monotonic()
        due = now > sent + _SEND_EVERY_S
        send(pipe, header, payload, flush=due)
        sent = now if due else sent
    pipe.flush()


class _Fetch:
    """Asks the parent for a range of the file that is being decoded."""

    def __init__(self, requests: BinaryIO, replies: BinaryIO) -> None:
        self._requests, self._replies = requests, replies

    def __call__(self, offset: int, size: int) -> bytes:
        send(self._replies, {"read": [offset, size]})
        return receive(self._requests)[1]


def _replies(sound: BinaryIO, name: str, **request: Any) -> Iterator[tuple[dict[str, Any], bytes | memoryview]]:
    """Yield the messages for a recording; the last one says that it is complete, or why there is no more."""
    try:
        for item in stream_audio(sound, name, **request):
            yield _message(item)
    except AudioFault as fault:
        yield {"fault": fault.reason, "message": fault.message}, b""
    except MemoryError:
        yield {"fault": "out_of_memory", "message": f"{name}: decoding it takes more memory than is allowed"}, b""
    except Exception as error:
        message = f"{name}: decoding it failed unexpectedly ({type(error).__name__}: {error})"
        yield {"fault": "crashed", "message": message}, b""
    else:
        yield {"done": True}, b""


def _message(item: Item) -> tuple[dict[str, Any], bytes | memoryview]:
    if isinstance(item, Block):
        counts = [len(channel) for channel in item.clipped]
        header = {"block": item.start, "clipped": counts}
        samples = np.ascontiguousarray(item.samples).reshape(-1)
        if not any(counts):
            return header, samples.data
        return header, np.concatenate([samples.view(np.int32), *item.clipped]).data
    kind = "format" if isinstance(item, AudioFormat) else "damage" if isinstance(item, Damage) else "ended"
    return {kind: vars(item)}, b""


def _address_space() -> int | None:
    """Bytes of address space in use, libraries included; None where there is no /proc."""
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[0]) * resource.getpagesize()
    except OSError:
        return None


def _limit_memory(n_bytes: int) -> None:
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    limit = min(n_bytes, sys.maxsize)
    resource.setrlimit(resource.RLIMIT_AS, (limit if hard == resource.RLIM_INFINITY else min(limit, hard), hard))


def _end_with_parent(requests_fd: int) -> None:
    """End at once when the parent closes the pipe, in the middle of a recording too."""
    poll = select.poll()
    poll.register(requests_fd, 0)  # a hang-up is reported in any case
    poll.poll()
    os._exit(0)


if __name__ == "__main__":
    main()
