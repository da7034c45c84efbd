"""Retry a storage operation while its failure may be transient."""

from __future__ import annotations

import asyncio
import errno
import random
import socket
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

from pipeline.storage.errors import StorageError

T = TypeVar("T")

BUDGET_S = 180.0
_FIRST_DELAY_S, _LONGEST_DELAY_S = 0.5, 20.0

_TRANSIENT_ERRNO = frozenset(
    {
        *(errno.EAGAIN, errno.ETIMEDOUT, errno.ECONNRESET, errno.ECONNREFUSED, errno.ECONNABORTED),
        *(errno.EPIPE, errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.ESTALE),
    }
)
_UNKNOWN_HOST = frozenset({socket.EAI_NONAME, socket.EAI_NODATA})
_TRANSIENT_CODES = frozenset({"SlowDown", "Throttling", "ThrottlingException", "RequestTimeout", "InternalError"})
# By name, because the packages that define them are needed for some kinds of URL only.
_TRANSIENT_NAMES = frozenset(
    {
        *("HTTPClientError", "ConnectionError", "IncompleteReadError", "ResponseStreamingError"),  # botocore
        *("ClientConnectionError", "ClientPayloadError"),  # aiohttp
    }
)


def retrying(
    operation: Callable[[], T],
    *,
    what: str,
    budget_s: float = BUDGET_S,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
    jitter: Callable[[], float] = random.random,
) -> T:
    """Call `operation` until it succeeds, waiting ever longer (0.5 s to 20 s, with jitter) between attempts.

    Permanent errors (not found, access denied, any 4xx) are raised at once, unchanged.
    Raises StorageError, naming `what`, when the next wait would go past `budget_s`.
    """
    start, attempts = clock(), 0
    while True:
        attempts += 1
        try:
            return operation()
        except Exception as error:
            if not is_transient(error):
                raise
            # Half of the delay is fixed, half is random, so that many readers do not retry all at once.
            delay = min(_LONGEST_DELAY_S, _FIRST_DELAY_S * 2 ** min(attempts - 1, 16)) * (0.5 + 0.5 * jitter())
            elapsed = clock() - start
            if elapsed + delay > budget_s:
                raise StorageError(
                    f"{what}: gave up after {elapsed:.0f} s and {attempts} attempts: {type(error).__name__}: {error}"
                ) from error
            sleep(delay)


def is_transient(error: BaseException) -> bool:
    """Return True for timeouts, broken connections, throttling and a server's 5xx; False for all else.

    An unknown host name is not transient.
    """
    chain = list(_chain(error))
    for link in chain:
        status, code = _http_status(link)
        if status or code:
            return status >= 500 or status == 429 or code in _TRANSIENT_CODES
    # A name that does not exist. One that the resolver could not look up now (EAI_AGAIN) may be found a moment later.
    if any(isinstance(link, socket.gaierror) and link.errno in _UNKNOWN_HOST for link in chain):
        return False
    for link in chain:
        if isinstance(link, (TimeoutError, asyncio.TimeoutError, ConnectionError)):
            return True
        if isinstance(link, OSError) and link.errno in _TRANSIENT_ERRNO:
            return True
        if _TRANSIENT_NAMES & {base.__name__ for base in type(link).__mro__}:
            return True
    return False


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__


def _http_status(error: BaseException) -> tuple[int, str]:
    """Return the HTTP status and error code that a client put in its exception, else 0 and ""."""
    response = getattr(error, "response", None)
    if isinstance(response, dict):
        status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        return int(status or 0), str(response.get("Error", {}).get("Code", ""))
    status = getattr(error, "status", None) or getattr(error, "code", None)
    return (status, "") if isinstance(status, int) and 400 <= status < 600 else (0, "")
