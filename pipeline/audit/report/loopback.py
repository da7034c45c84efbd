"""A server on this machine's loopback, readable only by those who know its secret address.

The standard library's server is enough for one person's browser, and adds nothing to install.
"""

from __future__ import annotations

import secrets
import sys
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer
from typing import Any

from pipeline.audit.report.byte_range import UnfitRangeError, byte_range
from pipeline.audit.report.page import PAGE, POLICY
from pipeline.storage.errors import StorageError
from schemas.errors import LmacError

HOST = "127.0.0.1"
_IDLE_S = 60.0
_TYPES = {
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "svg": "image/svg+xml",
    "jpg": "image/jpeg",
    "png": "image/png",
    "flac": "audio/flac",
}
_HEADERS = {
    "Content-Security-Policy": f"{POLICY}; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    # What a bucket holds stays in memory: no browser writes it to its disk.
    "Cache-Control": "no-store",
}

Read = Callable[[str], "bytes | None"]
Told = Callable[[str], None]


class LoopbackServer(ThreadingTCPServer):
    """Answers GET and HEAD for what `read` returns at a path, below a secret first part of the path.

    It listens at once, and answers once `serve_forever` runs. `told` is called with a line for each request that
    failed. Raises LmacError if the port is not available.
    """

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 32

    def __init__(self, port: int, told: Told) -> None:
        self.token = secrets.token_urlsafe(24)
        self.read: Read = lambda path: None
        self._told = told
        try:
            super().__init__((HOST, port), _Handler)
        except (OSError, OverflowError) as error:
            reason = error.strerror.lower() if isinstance(error, OSError) and error.strerror else str(error)
            raise LmacError(
                f"port {port} of {HOST} is not available ({reason}): pass another port, or 0 for any free one"
            ) from None
        ends = (f":{self.port}", "") if self.port == 80 else (f":{self.port}",)
        self.hosts = [[f"{name}{end}"] for name in (HOST, "localhost") for end in ends]

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return int(self.server_address[1])

    @property
    def url(self) -> str:
        """The address of its first page, with the secret: whoever has it can read all that is served."""
        return f"http://{HOST}:{self.port}/{self.token}/"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Report an error in one line, unless a browser went away."""
        error = sys.exc_info()[1]
        if error is not None and not isinstance(error, ConnectionError | TimeoutError):
            self.tell("a request", error)

    def tell(self, what: str, error: BaseException) -> None:
        """Report in one line why something failed."""
        fault = "" if isinstance(error, LmacError) else f"{type(error).__name__}: "
        self._told(f"{what}: {fault}{' '.join(str(error).split())}")


class _Handler(BaseHTTPRequestHandler):
    server: LoopbackServer
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "lmac", ""
    timeout = _IDLE_S
    # Headers and body are two packets: the second does not wait for the first to be acknowledged.
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        status, data, headers = self._answer()
        self.send_response(status)
        for name, value in {**_HEADERS, "Content-Type": _TYPES["html"], **headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        # A body would be taken for the next request.
        if self.headers.get("Content-Length") or self.headers.get("Transfer-Encoding"):
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def do_HEAD(self) -> None:
        self.do_GET()

    def _answer(self) -> tuple[HTTPStatus, bytes, dict[str, str]]:
        # A site whose name resolves to this machine (DNS rebinding) would send its own name.
        if self.headers.get_all("Host", []) not in self.server.hosts:
            return _words(HTTPStatus.FORBIDDEN, "This server answers only to its own address.")
        token, *path = self.path.partition("?")[0].removeprefix("/").split("/", 1)
        if not secrets.compare_digest(token.encode("utf-8", "replace"), self.server.token.encode()):
            return _words(HTTPStatus.NOT_FOUND, "Open the full address that lmac browse has printed.")
        if not path:
            return _words(HTTPStatus.PERMANENT_REDIRECT, "The address ends in a slash.", Location=f"/{token}/")
        return self._file(path[0] or PAGE)

    def _file(self, path: str) -> tuple[HTTPStatus, bytes, dict[str, str]]:
        try:
            data = self.server.read(path)
        except Exception as error:
            # The message may name buckets and folders: it is for the terminal.
            self.server.tell(path, error)
            status = HTTPStatus.BAD_GATEWAY if isinstance(error, StorageError) else HTTPStatus.INTERNAL_SERVER_ERROR
            return _words(status, "This could not be read: the terminal where lmac browse runs says why.")
        if data is None:
            return _words(HTTPStatus.NOT_FOUND, "There is no such page.")
        return self._part(data, {"Content-Type": _TYPES[path.rpartition(".")[2]], "Accept-Ranges": "bytes"})

    def _part(self, data: bytes, headers: dict[str, str]) -> tuple[HTTPStatus, bytes, dict[str, str]]:
        # A condition refers to a version of the file, and none is stated.
        asked = None if self.headers.get("If-Range") or self.command == "HEAD" else self.headers.get("Range")
        try:
            part = byte_range(asked, len(data))
        except UnfitRangeError:
            unfit = {"Content-Range": f"bytes */{len(data)}"}
            return _words(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, "This file is shorter.", **unfit)
        if part is None:
            return HTTPStatus.OK, data, headers
        start, stop = part
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{len(data)}"
        return HTTPStatus.PARTIAL_CONTENT, data[start:stop], headers

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Refuse malformed requests and other methods than those above, without repeating what they said."""
        unknown_method = code == HTTPStatus.NOT_IMPLEMENTED
        self.send_response(HTTPStatus.METHOD_NOT_ALLOWED if unknown_method else code)
        allowed = {"Allow": "GET, HEAD"} if unknown_method else {}
        for name, value in {**_HEADERS, **allowed, "Connection": "close", "Content-Length": "0"}.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, format: str, *arguments: Any) -> None:
        """Log no requests: their paths hold the secret."""


def _words(status: HTTPStatus, words: str, **headers: str) -> tuple[HTTPStatus, bytes, dict[str, str]]:
    return status, f"{words}\n".encode(), {"Content-Type": "text/plain; charset=utf-8", **headers}
