"""Each way in which the S3 server fails, as an HTTP client meets it."""

from __future__ import annotations

import http.client
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.faults.proxy import FaultyS3, faulty_s3

pytestmark = pytest.mark.slow


class Upstream(ThreadingHTTPServer):
    """Keeps what is put, by path, and gives it back; below `/chunked/` in chunks."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.kept: dict[str, bytes] = {}


class _Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Upstream

    def do_PUT(self) -> None:
        self.server.kept[self.path] = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_GET(self) -> None:
        body = self.server.kept.get(self.path.replace("/chunked", ""), b"")
        self.send_response(200)
        if self.path.startswith("/chunked/"):
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            chunks = [body[first : first + 1000] for first in range(0, len(body), 1000)]
            self.wfile.write(b"".join(b"3e8\r\n%s\r\n" % chunk for chunk in chunks) + b"0\r\n\r\n")
            return
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_HEAD(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.server.kept[self.path])))
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    server = Upstream()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def s3(upstream: Upstream) -> Iterator[FaultyS3]:
    with faulty_s3(upstream.server_address[1]) as proxy:
        yield proxy


def connect(s3: FaultyS3, timeout_s: float = 10.0) -> http.client.HTTPConnection:
    return http.client.HTTPConnection(s3.endpoint.removeprefix("http://"), timeout=timeout_s)


def ask(connection: http.client.HTTPConnection, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
    connection.request(method, path, body)
    answer = connection.getresponse()
    return answer.status, answer.read()


def test_calm_it_passes_everything_on_over_one_connection(s3: FaultyS3, upstream: Upstream) -> None:
    connection, data = connect(s3), bytes(range(256)) * 1000
    assert ask(connection, "PUT", "/a", data) == (200, b"")
    place = connection.sock
    assert upstream.kept == {"/a": data}
    assert ask(connection, "GET", "/a") == (200, data)
    assert ask(connection, "HEAD", "/a") == (200, b"")
    assert ask(connection, "GET", "/chunked/a") == (200, data)
    assert connection.sock is place
    assert not s3.met


def test_a_body_that_waits_to_be_asked_for(s3: FaultyS3, upstream: Upstream) -> None:
    connection = connect(s3)
    connection.putrequest("PUT", "/a")
    connection.putheader("Content-Length", "3")
    connection.putheader("Expect", "100-continue")
    connection.endheaders()
    assert connection.sock.recv(100).startswith(b"HTTP/1.1 100 Continue")
    connection.send(b"abc")
    assert connection.getresponse().status == 200
    assert upstream.kept == {"/a": b"abc"}


def test_gone_connections_are_refused_and_those_there_broken(s3: FaultyS3) -> None:
    before = connect(s3)
    ask(before, "PUT", "/a", b"abc")
    before.auto_open = 0
    s3.fail("gone", 1.0)
    with pytest.raises(ConnectionError):
        ask(before, "GET", "/a")
    with pytest.raises(ConnectionRefusedError):
        ask(connect(s3), "GET", "/a")
    time.sleep(1.2)
    assert ask(connect(s3), "GET", "/a") == (200, b"abc")


def test_hanging_it_answers_late(s3: FaultyS3) -> None:
    ask(connect(s3), "PUT", "/a", b"abc")
    s3.fail("hangs", 1.0)
    begun = time.monotonic()
    with pytest.raises(TimeoutError):
        ask(connect(s3, 0.2), "GET", "/a")
    assert ask(connect(s3), "GET", "/a") == (200, b"abc")
    assert time.monotonic() - begun > 0.9
    assert s3.met["hangs"] == 2


def test_mute_it_never_answers_what_was_asked_then(s3: FaultyS3) -> None:
    ask(connect(s3), "PUT", "/a", b"abc")
    s3.fail("mute", 0.5)
    asked = connect(s3, 1.5)
    with pytest.raises(TimeoutError):
        ask(asked, "GET", "/a")
    assert ask(connect(s3), "GET", "/a") == (200, b"abc")
    assert s3.met["mute"] == 1


def test_busy_it_refuses_a_third(s3: FaultyS3) -> None:
    connection = connect(s3)
    ask(connection, "PUT", "/a", b"abc")
    s3.fail("busy", seed=3)
    answers = [ask(connection, "GET", "/a") for _ in range(90)]
    refused = [body for status, body in answers if status == 503]
    assert 15 <= len(refused) == s3.met["busy"] <= 45
    assert any(b"<Code>SlowDown</Code>" in body for body in refused)
    assert any(not body for body in refused)
    assert [body for status, body in answers if status == 200] == [b"abc"] * (90 - len(refused))
    s3.calm()
    s3.fail("busy", seed=3)
    assert [ask(connection, "GET", "/a") for _ in range(90)] == answers
    s3.calm()
    assert all(ask(connection, "GET", "/a") == (200, b"abc") for _ in range(20))


def test_cuts_end_connections_before_in_and_after_a_body(s3: FaultyS3, upstream: Upstream) -> None:
    data = b"x" * 100_000
    ask(connect(s3), "PUT", "/a", data)
    s3.fail("cuts", seed=1)
    seen = set()
    for number in range(60):
        for method, path, body in (("GET", "/a", None), ("PUT", f"/{number}", data)):
            try:
                assert ask(connect(s3), method, path, body)[0] == 200
            except http.client.IncompleteRead:
                seen.add("in the answer")
            except (ConnectionError, http.client.HTTPException):
                if body is not None:
                    seen.add("after the request" if path in upstream.kept else "in the request")
    assert seen == {"in the answer", "after the request", "in the request"}
    assert all(kept == data for kept in upstream.kept.values())
    assert 15 <= s3.met["cuts"] <= 45


def test_a_put_is_held_and_lost_and_others_pass(s3: FaultyS3, upstream: Upstream) -> None:
    hold = s3.hold("/_commits/")
    held = connect(s3)
    held.request("PUT", "/run/_commits/s/000000.json", b"{}")
    assert hold.caught.wait(5)
    assert ask(connect(s3), "PUT", "/run/_commits/s/000001.json", b"{}") == (200, b"")
    s3.release(hold)
    with pytest.raises((ConnectionError, http.client.BadStatusLine)):
        held.getresponse()
    assert set(upstream.kept) == {"/run/_commits/s/000001.json"}
    assert ask(connect(s3), "PUT", "/run/_commits/s/000000.json", b"{}") == (200, b"")


def test_it_is_the_same_address_after_it_was_gone_and_free_after_the_end(upstream: Upstream) -> None:
    with faulty_s3(upstream.server_address[1]) as proxy:
        proxy.fail("gone")
        proxy.calm()
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            try:
                assert ask(connect(proxy), "PUT", "/a", b"1") == (200, b"")
                break
            except ConnectionRefusedError:
                time.sleep(0.02)
        port = int(proxy.endpoint.rpartition(":")[2])
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0
