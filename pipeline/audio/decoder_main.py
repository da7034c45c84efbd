"""The child process that decodes: recordings come in over one pipe, waveforms go out over another.

`pipeline.audio.decoder_process` starts it as `python -m pipeline.audio.decoder_main FD FD`, with the pipes' file
descriptors. It imports nothing but `pipeline.audio`, and ends when its parent does.
"""

from __future__ import annotations

import contextlib
import os
import resource
import select
import signal
import sys
import threading
from typing import Any

from pipeline.audio.decode import AudioFault, decode
from pipeline.audio.pipe_messages import opened, receive, send

# Short of memory, the kernel kills this process before its parent.
_OOM_SCORE = "700"


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
            memory = request.pop("memory")
            if own is not None:
                _limit_memory(own + memory)
            reply, waveform = _decode(data, **request)
            del data
            send(replies, reply, waveform)


def _decode(data: bytes, name: str, sample_rate: int, max_seconds: float) -> tuple[dict[str, Any], bytes | memoryview]:
    try:
        decoded = decode(data, name, sample_rate, max_seconds)
    except AudioFault as fault:
        return {"reason": fault.reason, "message": fault.message}, b""
    except MemoryError:
        return {"reason": "out_of_memory", "message": f"{name}: decoding it takes more memory than is allowed"}, b""
    except Exception as error:
        message = f"{name}: decoding it failed unexpectedly ({type(error).__name__}: {error})"
        return {"reason": "crashed", "message": message}, b""
    return {"sample_rate_in": decoded.sample_rate_in, "channels_in": decoded.channels_in}, decoded.waveform.data


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
