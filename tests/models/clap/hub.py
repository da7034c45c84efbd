"""A web server on loopback: files at any path, and as much of the Hugging Face hub as its client asks for."""

from __future__ import annotations

import hashlib
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Site(ThreadingHTTPServer):
    """`files` by path; `models` by name, each with files by name; `cut` are paths that break off halfway."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, bytes] = {}
        self.models: dict[str, dict[str, bytes]] = {}
        self.cut: set[str] = set()
        self.fetched: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: Site

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, body: bool) -> None:
        path = urlsplit(self.path).path
        listing = self._listing(path)
        content = json.dumps(listing).encode() if listing is not None else self._content(path)
        if content is None:
            self.send_response(404)
            if path.startswith("/api/"):
                self.send_header("X-Error-Code", "RepoNotFound")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if body and listing is None:
            self.server.fetched.append(path)
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("ETag", f'"{hashlib.sha1(content).hexdigest()}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.end_headers()
        if body:
            self.wfile.write(content[: len(content) // 2] if path in self.server.cut else content)

    def _listing(self, path: str) -> object | None:
        for name, files in self.server.models.items():
            if path == f"/api/models/{name}/tree/{COMMIT}":
                return [{"type": "file", "path": file, "size": len(files[file]), "oid": "0" * 40} for file in files]
            if path in (f"/api/models/{name}", f"/api/models/{name}/revision/main"):
                siblings = [{"rfilename": file} for file in files]
                return {"id": name, "modelId": name, "sha": COMMIT, "siblings": siblings, "private": False, "tags": []}
        return None

    def _content(self, path: str) -> bytes | None:
        for name, files in self.server.models.items():
            for revision in ("main", COMMIT):
                prefix = f"/{name}/resolve/{revision}/"
                if path.startswith(prefix):
                    return files.get(path.removeprefix(prefix))
        return self.server.files.get(path)

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def serve() -> Iterator[Site]:
    """A site as long as the block runs."""
    site = Site()
    threading.Thread(target=site.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield site
    finally:
        site.shutdown()
        site.server_close()


def closed_port() -> str:
    """The URL of a port on loopback at which nothing listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{taken.getsockname()[1]}"
