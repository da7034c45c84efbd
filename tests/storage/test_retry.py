from __future__ import annotations

import errno
import socket

import aiohttp
import pytest
from aiohttp.client_reqrep import ConnectionKey
from botocore.exceptions import ClientError, ConnectTimeoutError, NoCredentialsError
from s3fs.errors import translate_boto_error

from pipeline.storage.errors import StorageError, as_storage_error
from pipeline.storage.retry import is_transient, retrying


class Clock:
    """Time that passes only by sleeping."""

    def __init__(self) -> None:
        self.now = 0.0
        self.waits: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.waits.append(seconds)


def s3_error(status: int, code: str) -> OSError:
    response = {"Error": {"Code": code, "Message": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return translate_boto_error(ClientError(response, "GetObject"))


def unresolved(code: int) -> aiohttp.ClientError:
    """What a client raises for a host's name that does not resolve."""
    cause = socket.gaierror(code, "no address")
    error = aiohttp.ClientConnectorDNSError(
        ConnectionKey("no-such-host.invalid", 443, True, True, None, None, None), cause
    )
    error.__cause__ = cause
    return error


TRANSIENT = [
    TimeoutError(),
    ConnectionResetError(),
    OSError(errno.EHOSTUNREACH, "no route"),
    ConnectTimeoutError(endpoint_url="http://x"),
    aiohttp.ClientPayloadError(),
    s3_error(503, "SlowDown"),
    s3_error(500, "InternalError"),
    s3_error(400, "RequestTimeout"),
    s3_error(429, "TooManyRequests"),
    unresolved(socket.EAI_AGAIN),
]
FATAL = [
    FileNotFoundError(),
    PermissionError(),
    OSError(errno.ENOSPC, "disk full"),
    OSError(errno.EIO, "bad disk"),
    NoCredentialsError(),
    ValueError(),
    s3_error(403, "AccessDenied"),
    s3_error(404, "NoSuchKey"),
    s3_error(400, "InvalidArgument"),
    s3_error(416, "InvalidRange"),
    unresolved(socket.EAI_NONAME),
]


def failing(times: int, error: Exception) -> object:
    def operation() -> str:
        nonlocal times
        times -= 1
        if times >= 0:
            raise error
        return "done"

    return operation


@pytest.mark.parametrize("error", TRANSIENT, ids=repr)
def test_what_may_pass_is_tried_again(error: Exception) -> None:
    clock = Clock()
    result = retrying(failing(3, error), what="x", clock=clock, sleep=clock.sleep, jitter=lambda: 1.0)
    assert result == "done"
    assert clock.waits == [0.5, 1.0, 2.0]


@pytest.mark.parametrize("error", FATAL, ids=repr)
def test_what_will_not_pass_is_raised_at_once_as_it_is(error: Exception) -> None:
    clock = Clock()
    assert not is_transient(error)
    with pytest.raises(type(error)) as caught:
        retrying(failing(1, error), what="x", clock=clock, sleep=clock.sleep)
    assert caught.value is error
    assert not clock.waits


def test_it_gives_up_within_the_budget_and_says_what_after_how_long_and_why() -> None:
    clock = Clock()
    with pytest.raises(StorageError, match=r"reading a.tar: gave up after \d+ s and \d+ attempts: .*gone away"):
        retrying(
            failing(10**6, ConnectionError("gone away")),
            what="reading a.tar",
            clock=clock,
            sleep=clock.sleep,
            jitter=lambda: 0.5,
        )
    assert 150 < clock.now <= 180
    assert max(clock.waits) <= 20


def test_jitter_spreads_the_waits_over_half_of_them() -> None:
    for jitter, wait in ((0.0, 0.25), (1.0, 0.5)):
        clock = Clock()
        retrying(failing(1, TimeoutError()), what="x", clock=clock, sleep=clock.sleep, jitter=lambda j=jitter: j)
        assert clock.waits == [wait]


def test_a_host_s_name_that_does_not_resolve_is_told_with_what_to_check() -> None:
    said = str(as_storage_error(unresolved(socket.EAI_NONAME), "reading https://no-such-host.invalid/a.wav"))
    assert said.startswith("reading https://no-such-host.invalid/a.wav: ")
    assert said.endswith("check the host's name and the network")
