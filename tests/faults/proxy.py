"""An S3 server that can be told to fail: a proxy before a real one, in a thread of its own."""

from __future__ import annotations

import asyncio
import random
import socket
import threading
from asyncio import Event, IncompleteReadError, StreamReader, StreamWriter
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal, TypeVar

from tests.faults.http import Message, read_body, read_head

T = TypeVar("T")

Way = Literal["gone", "hangs", "mute", "busy", "cuts"]
# The share of requests that the last two fail.
BUSY_SHARE, CUT_SHARE = 1 / 3, 1 / 4
_SLOW_DOWN = b'<?xml version="1.0"?><Error><Code>SlowDown</Code><Message>Reduce your request rate.</Message></Error>'
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
# Below the range from which the system takes ports for outgoing connections, so that it is still free after an outage.
_PORTS = range(20_000, 30_000)


@dataclass
class Hold:
    """A request that is kept from the server until `release`, and then lost."""

    fragment: str
    caught: threading.Event = field(default_factory=threading.Event)
    released: Event = field(default_factory=Event)
    target: str = ""


class FaultyS3:
    """Passes requests on to the server at a port of this machine; `met` counts those that met a fault, by its way.

    gone: connections are refused, and those that there are, broken. hangs: requests wait, and are answered late. mute:
    requests are accepted and never answered, not even afterwards. busy: a third of the requests get a 503, half of them
    with the code SlowDown. cuts: a quarter of the connections end in the middle: of the request, after it and without a
    word, or in the middle of the answer's body.
    """

    def __init__(self, upstream_port: int) -> None:
        self.met: Counter[str] = Counter()
        self._upstream_port = upstream_port
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="faulty-s3", daemon=True)
        self._port = _free_port()
        self._server: asyncio.Server | None = None
        self._clients: set[StreamWriter] = set()
        self._answering = Event()
        self._answering.set()
        self._mute = False
        self._busy: random.Random | None = None
        self._cuts: random.Random | None = None
        self._hold: Hold | None = None
        self._ends: dict[Way, asyncio.TimerHandle] = {}
        self.endpoint = f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Listen."""
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(10)

    def stop(self) -> None:
        """Close everything."""
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def fail(self, way: Way, seconds: float | None = None, seed: int = 0) -> None:
        """Begin to fail in a way; for so many seconds, or until it is `calm`."""
        self._call(lambda: self._begin(way, seconds, seed))

    def hold(self, fragment: str) -> Hold:
        """Keep the next PUT with `fragment` in its path from the server."""
        hold = Hold(fragment)
        self._call(lambda: setattr(self, "_hold", hold))
        return hold

    def release(self, hold: Hold) -> None:
        """Let go of a request that was held: its connection is broken. Hold no other."""

        def let_go() -> None:
            self._hold = None
            hold.released.set()

        self._call(let_go)

    def calm(self) -> None:
        """Fail in no way any more."""
        self._call(self._calm)

    def _call(self, action: Callable[[], T]) -> T:
        async def act() -> T:
            return action()

        return asyncio.run_coroutine_threadsafe(act(), self._loop).result(10)

    def _begin(self, way: Way, seconds: float | None, seed: int) -> None:
        if way in self._ends:
            self._ends.pop(way).cancel()
        self._set(way, True, seed)
        if seconds is not None:
            self._ends[way] = self._loop.call_later(seconds, self._set, way, False, 0)

    def _calm(self) -> None:
        for end in self._ends.values():
            end.cancel()
        self._ends.clear()
        for way in ("hangs", "mute", "busy", "cuts"):
            self._set(way, False, 0)
        if self._server is None:
            self._set("gone", False, 0)

    def _set(self, way: Way, on: bool, seed: int) -> None:
        if way == "gone" and on:
            if self._server is not None:
                self._server.close()
                self._server = None
            self.met[way] += 1 + len(self._clients)
            for client in self._clients:
                client.transport.abort()
        elif way == "gone":
            self._listening = self._loop.create_task(self._listen())
        elif way == "hangs":
            self._answering.clear() if on else self._answering.set()
        elif way == "mute":
            self._mute = on
        elif way == "busy":
            self._busy = random.Random(seed) if on else None
        else:
            self._cuts = random.Random(seed) if on else None

    async def _end(self) -> None:
        self._set("gone", True, 0)
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _listen(self) -> None:
        if self._server is None:
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port)

    async def _serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        self._clients.add(writer)
        upstream: tuple[StreamReader, StreamWriter] | None = None
        try:
            while (request := await read_head(reader)) is not None:
                if upstream is None:
                    upstream = await asyncio.open_connection("127.0.0.1", self._upstream_port)
                if not await self._answer(request, reader, writer, *upstream):
                    break
        except (ConnectionError, IncompleteReadError, asyncio.CancelledError):
            pass  # one of the three has gone; the others learn of it by their connections, closed below
        finally:
            self._clients.discard(writer)
            for end in (writer, upstream[1] if upstream else None):
                if end is not None:
                    end.close()

    async def _answer(
        self, request: Message, reader: StreamReader, writer: StreamWriter, up: StreamReader, server: StreamWriter
    ) -> bool:
        """Answer one request, or fail to; returns whether the connection can be used for another."""
        if self._mute:
            self.met["mute"] += 1
            while await reader.read(1 << 16):
                pass
            return False
        if not self._answering.is_set():
            self.met["hangs"] += 1
            await self._answering.wait()
        cut = self._draw_cut()
        if request.headers.get("expect"):
            writer.write(_CONTINUE)
        if cut == "request" and (length := int(request.headers.get("content-length", 0))) > 1:
            await reader.readexactly(length // 2)
            return self._break(writer)
        body = await read_body(reader, request)
        hold = self._hold
        if hold is not None and not hold.target and request.method == "PUT" and hold.fragment in request.target:
            hold.target = request.target
            hold.caught.set()
            await hold.released.wait()
            return self._break(writer)
        if self._busy is not None and self._busy.random() < BUSY_SHARE:
            self.met["busy"] += 1
            writer.write(_refusal(request.method, slow_down=self._busy.random() < 0.5))
            await writer.drain()
            return True
        server.write(request.head + body)
        answer = await read_head(up)
        while answer is not None and answer.target.startswith("1"):
            answer = await read_head(up)
        if answer is None:
            return False
        content = await read_body(up, answer, request.method)
        if cut is not None:
            if cut == "answer" and content:
                writer.write(answer.head + content[: len(content) // 2])
                await writer.drain()
            return self._break(writer)
        writer.write(answer.head + content)
        await writer.drain()
        return not (request.closes or answer.closes)

    def _draw_cut(self) -> str | None:
        if self._cuts is None or self._cuts.random() >= CUT_SHARE:
            return None
        self.met["cuts"] += 1
        return self._cuts.choice(["request", "word", "answer"])

    def _break(self, writer: StreamWriter) -> bool:
        # Closed in order, so that what was sent arrives: the length told before says that it is not all.
        writer.close()
        return False


def _refusal(method: str, slow_down: bool) -> bytes:
    body = b"" if method == "HEAD" or not slow_down else _SLOW_DOWN
    reason = "Slow Down" if slow_down else "Service Unavailable"
    return f"HTTP/1.1 503 {reason}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def _free_port() -> int:
    ports = list(_PORTS)
    random.SystemRandom().shuffle(ports)
    for port in ports:
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError(f"no port is free between {_PORTS.start} and {_PORTS.stop}")


@contextmanager
def faulty_s3(upstream_port: int) -> Iterator[FaultyS3]:
    """A proxy before the server at a port of this machine, while the block lasts."""
    proxy = FaultyS3(upstream_port)
    proxy.start()
    try:
        yield proxy
    finally:
        proxy.stop()
