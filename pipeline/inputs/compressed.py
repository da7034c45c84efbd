"""Compressed files, recognised by their first bytes and read as their contents."""

from __future__ import annotations

import bz2
import gzip
import lzma
import zlib
from typing import IO, Any

import pyarrow as pa

# What a damaged or truncated compressed file raises; bz2 and zstd raise an OSError.
DAMAGE = (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile)


def is_compressed(head: bytes) -> bool:
    """Return True when a file with these first bytes is compressed by gzip, bzip2, xz or zstd."""
    return head.startswith((b"\x1f\x8b", b"BZh", b"\xfd7zXZ\x00", b"\x28\xb5\x2f\xfd"))


def decompressed(stream: Any, head: bytes) -> IO[bytes]:
    """Return a stream of the contents of the compressed `stream`, whose first bytes are `head`."""
    if head.startswith(b"\x1f\x8b"):
        return gzip.GzipFile(fileobj=stream)  # type: ignore[return-value]
    if head.startswith(b"BZh"):
        return bz2.BZ2File(stream)
    if head.startswith(b"\xfd7zXZ\x00"):
        return lzma.LZMAFile(stream)
    reader: IO[bytes] = pa.CompressedInputStream(pa.PythonFile(stream, mode="r"), "zstd")
    return reader
