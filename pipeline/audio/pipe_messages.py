"""Messages over a pipe: a JSON header and raw bytes, each with its length before it."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import struct
import sys
from collections.abc import Mapping
from typing import Any, BinaryIO, cast

_LENGTHS = struct.Struct("<IQ")
# A message that fits into the pipe takes one context switch. Linux gives larger pipes to root alone.
BUFFER_BYTES = 1 << 20
_F_SETPIPE_SZ = 1031


def opened(fd: int, mode: str) -> BinaryIO:
    """Open one end of a pipe, "rb" or "wb", with buffers that suit `send` and `receive`."""
    if sys.platform == "linux":
        with contextlib.suppress(PermissionError):  # the kernel limits what all of a user's pipes hold
            fcntl.fcntl(fd, _F_SETPIPE_SZ, BUFFER_BYTES)
    return cast(BinaryIO, os.fdopen(fd, mode, BUFFER_BYTES))


def send(stream: BinaryIO, header: Mapping[str, Any], payload: bytes | memoryview = b"", flush: bool = True) -> None:
    """Write one message, with `flush` sent at once; raises OSError when the other end is closed."""
    head = json.dumps(header).encode()
    body = memoryview(payload).cast("B") if len(payload) else b""
    stream.write(_LENGTHS.pack(len(head), len(body)) + head)
    stream.write(body)
    if flush:
        stream.flush()


def receive(stream: BinaryIO) -> tuple[dict[str, Any], bytes]:
    """Wait for one message; raises EOFError when the other end closes before it is whole."""
    n_head, n_bytes = _LENGTHS.unpack(_exactly(stream, _LENGTHS.size))
    header: dict[str, Any] = json.loads(_exactly(stream, n_head))
    return header, _exactly(stream, n_bytes)


def _exactly(stream: BinaryIO, n: int) -> bytes:
    data = stream.read(n)
    if len(data) < n:
        raise EOFError(f"the pipe was closed after {len(data)} of {n} bytes")
    return data
