"""The server of `lmac browse` by what it answers: to whom, for what, in which parts."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from pipeline.audit.report.loopback import LoopbackServer
from pipeline.audit.report.page import POLICY
from pipeline.storage.errors import StorageError
from schemas.errors import LmacError
from tests.audit.report.served import ask

SOUND = bytes(range(200))
FILES = {"index.html": b"<p>hello</p>", "sounds/00001-original.flac": SOUND, "data/clips.js": b"lmac()"}


class Served:
    """A server of three files, and what it told of."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.server = LoopbackServer(0, self.told.append)
        self.server.read = self.read
        self.url = self.server.url

    def read(self, path: str) -> bytes | None:
        if path == "data/away.js":
            raise StorageError("reading bucket/secret-name: gave up after 6 s")
        if path == "data/broken.js":
            raise KeyError("a fault of the program")
        return FILES.get(path)


@pytest.fixture
def served() -> Iterator[Served]:
    found = Served()
    thread = threading.Thread(target=found.server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield found
    found.server.shutdown()
    found.server.server_close()
    thread.join(10)


def test_what_is_there_is_answered_with_its_kind_and_nothing_is_kept(served: Served) -> None:
    for path, kind in (
        ("", "text/html; charset=utf-8"),
        ("index.html?x=1", "text/html; charset=utf-8"),
        ("data/clips.js", "text/javascript; charset=utf-8"),
        ("sounds/00001-original.flac", "audio/flac"),
    ):
        answer = ask(served.url, path)
        assert (answer.status, answer.headers["Content-Type"]) == (200, kind)
        assert answer.body == FILES[path.partition("?")[0] or "index.html"]
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["Content-Security-Policy"].startswith(POLICY)
        assert "Access-Control-Allow-Origin" not in answer.headers
    assert served.told == []


def test_it_is_on_the_loopback_alone(served: Served) -> None:
    assert served.server.server_address[0] == "127.0.0.1"
    assert served.url == f"http://127.0.0.1:{served.server.port}/{served.server.token}/"
    assert len(served.server.token) >= 32
    other = LoopbackServer(0, print)
    other.server_close()
    assert other.token != served.server.token


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:{port}", "127.0.0.1", "127.0.0.1:1", "[::1]:{port}", ""]
)
def test_another_name_for_this_machine_is_refused(served: Served, host: str) -> None:
    answer = ask(served.url, Host=host.format(port=served.server.port))
    assert answer.status == 403
    assert b"hello" not in answer.body
    assert ask(served.url, Host=f"localhost:{served.server.port}").status == 200


def raw(served: Served, request: str) -> bytes:
    """What comes back for a request as it stands."""
    with socket.create_connection(("127.0.0.1", served.server.port), timeout=30) as connection:
        connection.sendall(request.encode())
        answer = b""
        while data := connection.recv(1 << 16):
            answer += data
        return answer


def test_a_request_without_a_host_or_with_two_is_refused(served: Served) -> None:
    host, path = f"Host: 127.0.0.1:{served.server.port}\r\n", f"/{served.server.token}/"
    end = "Connection: close\r\n\r\n"
    assert raw(served, f"GET {path} HTTP/1.1\r\n{host}{end}").startswith(b"HTTP/1.1 200")
    assert raw(served, f"GET {path} HTTP/1.1\r\n{end}").startswith(b"HTTP/1.1 403")
    assert raw(served, f"GET {path} HTTP/1.1\r\n{host}Host: evil.example\r\n{end}").startswith(b"HTTP/1.1 403")


@pytest.mark.parametrize(
    "path",
    [
        *("/", "/index.html", "//index.html", "/wrong/index.html", "/{token}x/", "/{token}", "/{token}//index.html"),
        *("/{token}/../index.html", "/{token}/%2e%2e/%2e%2e/etc/passwd", "/{token}/../../../etc/passwd"),
        *("/{token}/sounds/", "/{token}//etc/passwd", "/{token}/data/clips.js%00", "/%00", "/ä/", "*"),
    ],
)
def test_what_is_not_in_the_table_is_not_there(served: Served, path: str) -> None:
    token = served.server.token
    answer = raw(
        served,
        f"GET {path.format(token=token)} HTTP/1.1\r\nHost: 127.0.0.1:{served.server.port}\r\nConnection: close\r\n\r\n",
    )
    if path == "/{token}":
        # The same page: its own address without the last stroke.
        assert answer.startswith(b"HTTP/1.1 308")
        assert f"Location: /{token}/".encode() in answer
    else:
        assert answer.startswith(b"HTTP/1.1 404")
        assert token.encode() not in answer
    assert b"root:" not in answer


def test_head_says_what_get_would_without_the_file(served: Served) -> None:
    answer = ask(served.url, "sounds/00001-original.flac", "HEAD")
    assert (answer.status, answer.headers["Content-Length"], answer.body) == (200, "200", b"")
    assert ask(served.url, "nothing.js", "HEAD").status == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND"])
def test_no_other_method_is_answered(served: Served, method: str) -> None:
    answer = ask(served.url, "", method, b"GET / HTTP/1.1" if method == "POST" else None)
    assert (answer.status, answer.headers["Allow"], answer.headers["Connection"]) == (405, "GET, HEAD", "close")


def test_the_body_of_a_request_is_never_taken_for_another(served: Served) -> None:
    host, path = f"Host: 127.0.0.1:{served.server.port}\r\n", f"/{served.server.token}/"
    hidden = f"GET {path} HTTP/1.1\r\n{host}\r\n"
    for method in ("GET", "POST"):
        answer = raw(served, f"{method} {path} HTTP/1.1\r\n{host}Content-Length: {len(hidden)}\r\n\r\n{hidden}")
        assert answer.count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [
        *(("bytes=0-0", 0, 0), ("bytes=10-19", 10, 19), ("bytes=150-", 150, 199), ("bytes=190-999", 190, 199)),
        *(("bytes=-5", 195, 199), ("bytes=-999", 0, 199), ("bytes=0-", 0, 199)),
    ],
)
def test_a_part_of_the_sound_is_given_by_its_range(served: Served, asked: str, first: int, last: int) -> None:
    answer = ask(served.url, "sounds/00001-original.flac", Range=asked)
    assert answer.status == 206
    assert answer.headers["Content-Range"] == f"bytes {first}-{last}/200"
    assert answer.headers["Accept-Ranges"] == "bytes"
    assert answer.body == SOUND[first : last + 1]


@pytest.mark.parametrize("asked", ["bytes=200-", "bytes=999-1000", "bytes=-0"])
def test_a_range_behind_the_end_does_not_fit(served: Served, asked: str) -> None:
    answer = ask(served.url, "sounds/00001-original.flac", Range=asked)
    assert (answer.status, answer.headers["Content-Range"]) == (416, "bytes */200")


@pytest.mark.parametrize("asked", ["bytes=5-2", "bytes=1-2,4-5", "lines=1-2", "bytes=", "bytes=-", "bytes=a-b", "junk"])
def test_what_is_no_single_range_is_answered_in_full(served: Served, asked: str) -> None:
    answer = ask(served.url, "sounds/00001-original.flac", Range=asked)
    assert (answer.status, answer.body) == (200, SOUND)


def test_a_range_on_a_condition_is_answered_in_full(served: Served) -> None:
    assert ask(served.url, "sounds/00001-original.flac", Range="bytes=0-1", If_Range='"v1"').status == 200


def test_what_fails_is_told_in_the_terminal_and_not_in_the_browser(served: Served) -> None:
    for path, status, line in (
        ("data/away.js", 502, "data/away.js: reading bucket/secret-name: gave up after 6 s"),
        ("data/broken.js", 500, "data/broken.js: KeyError: 'a fault of the program'"),
    ):
        answer = ask(served.url, path)
        assert answer.status == status
        assert answer.headers["Content-Type"].startswith("text/plain")
        assert answer.body == b"This could not be read: the terminal where lmac browse runs says why.\n"
        assert served.told.pop() == line
    assert ask(served.url).status == 200


def test_a_browser_that_goes_away_is_no_fault(served: Served) -> None:
    for _ in range(3):
        connection = socket.create_connection(("127.0.0.1", served.server.port))
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        connection.sendall(b"GET / HT")
        connection.close()  # a reset, in the middle of a request
    assert ask(served.url).status == 200
    assert served.told == []


@pytest.mark.parametrize("port", ["taken", 70_000, -1])
def test_a_port_that_cannot_be_had_is_told(served: Served, port: str | int) -> None:
    wanted = served.server.port if port == "taken" else int(port)
    with pytest.raises(LmacError, match=f"port {wanted} of 127.0.0.1 is not available .*pass another port, or 0"):
        LoopbackServer(wanted, print)
