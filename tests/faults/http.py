"""HTTP/1.1 messages, read whole: as much of the protocol as lies between an S3 client and its server."""

from __future__ import annotations

from asyncio import IncompleteReadError, StreamReader
from dataclasses import dataclass


@dataclass(frozen=True)
class Message:
    """A request or a response: its first line, its headers with small letters, and both parts as they came."""

    line: str
    headers: dict[str, str]
    head: bytes
    body: bytes

    @property
    def method(self) -> str:
        return self.line.partition(" ")[0]

    @property
    def target(self) -> str:
        return self.line.split(" ")[1]

    @property
    def closes(self) -> bool:
        """Whether the connection is to be closed after it."""
        return self.headers.get("connection", "").lower() == "close"


async def read_head(reader: StreamReader) -> Message | None:
    """A message without its body; None where the connection has ended."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except IncompleteReadError as error:
        if error.partial:
            raise
        return None
    line, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
    pairs = (line.partition(":") for line in lines)
    return Message(line, {name.strip().lower(): value.strip() for name, _, value in pairs}, head, b"")


async def read_body(reader: StreamReader, message: Message, answers: str = "") -> bytes:
    """The body that follows a head, as it is on the wire; `answers` is the method of the request, for a response."""
    status = int(message.target) if answers else 0
    if answers == "HEAD" or 100 <= status < 200 or status in (204, 304):
        return b""
    if message.headers.get("transfer-encoding", "").lower() == "chunked":
        return await _read_chunks(reader)
    if "content-length" in message.headers:
        return await reader.readexactly(int(message.headers["content-length"]))
    # A request without a length has no body; a response without one lasts as long as its connection.
    return await reader.read() if answers else b""


async def _read_chunks(reader: StreamReader) -> bytes:
    body = bytearray()
    while True:
        size = await reader.readuntil(b"\r\n")
        body += size
        length = int(size.partition(b";")[0], 16)
        if not length:
            break
        body += await reader.readexactly(length + 2)
    while not body.endswith(b"\r\n\r\n"):  # trailers, up to an empty line
        body += await reader.readuntil(b"\r\n")
    return bytes(body)
