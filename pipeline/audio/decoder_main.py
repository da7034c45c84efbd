"""The process that decodes: recordings come in over one pipe, waveforms go out over another.

`python -m pipeline.audio.decoder_main FD FD`, with the pipes' numbers, started by `pipeline.audio.decoder_process`. It
imports nothing but `pipeline.audio`, and ends when whoever started it does.
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

from pipeline.audio.decode import decode
from pipeline.audio.faults import AudioFault
from pipeline.audio.pipe_messages import opened, receive, send

# The kernel, short of memory, takes this process before the one that it works for.
_OOM_SCORE = "700"


def main() -> None:
    """Answer recording after recording until nobody can ask any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
        file.write(_OOM_SCORE)
    asking, answering = map(int, sys.argv[1:])
    threading.Thread(target=_end_with_parent, args=(asking,), daemon=True).start()
    own = _address_space()
    with opened(asking, "rb") as recordings, opened(answering, "wb") as answers:
        send(answers, {"peak_kib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss})
        while True:
            try:
                asked, data = receive(recordings)
            except EOFError:
                return
            memory = asked.pop("memory")
            if own is not None:
                _limit_memory(own + memory)
            answer, waveform = _answer(data, **asked)
            del data
            send(answers, answer, waveform)


def _answer(data: bytes, name: str, sample_rate: int, max_seconds: float) -> tuple[dict[str, Any], bytes | memoryview]:
    try:
        decoded = decode(data, name, sample_rate, max_seconds)
    except AudioFault as fault:
        return {"reason": fault.reason, "message": fault.message}, b""
    except MemoryError:
        return {"reason": "out_of_memory", "message": f"{name}: decoding it takes more memory than it may"}, b""
    except Exception as error:
        message = f"{name}: decoding it fails in a way that is not provided for ({type(error).__name__}: {error})"
        return {"reason": "crashed", "message": message}, b""
    return {"sample_rate_in": decoded.sample_rate_in, "channels_in": decoded.channels_in}, decoded.waveform.data


def _address_space() -> int | None:
    """Bytes of address space in use, libraries and all; None where there is no /proc to tell."""
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[0]) * resource.getpagesize()
    except OSError:
        return None


def _limit_memory(n_bytes: int) -> None:
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    limit = min(n_bytes, sys.maxsize)
    resource.setrlimit(resource.RLIMIT_AS, (limit if hard == resource.RLIM_INFINITY else min(limit, hard), hard))


def _end_with_parent(asking: int) -> None:
    """End at once when nobody can ask any more, in the middle of a recording too."""
    poll = select.poll()
    poll.register(asking, 0)  # a hang-up is told in any case
    poll.poll()
    os._exit(0)


if __name__ == "__main__":
    main()
