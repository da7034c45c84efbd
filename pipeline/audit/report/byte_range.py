"""The part of a file that a request asks for (RFC 9110, section 14), as a browser does to seek in sound."""

from __future__ import annotations

import re

_ONE = re.compile(r"bytes=(?:(\d{1,18})-(\d{0,18})|-(\d{1,18}))")


class UnfitRangeError(ValueError):
    """A range that begins beyond the end of the file."""


def byte_range(header: str | None, size: int) -> tuple[int, int] | None:
    """The start and stop of the bytes that a `Range` header asks for out of `size`; None for all of them.

    A header that is not a single range of bytes is ignored, as the standard says. Raises UnfitRangeError.

    >>> byte_range("bytes=2-3", 10), byte_range("bytes=8-99", 10), byte_range("bytes=-4", 10), byte_range("lines=1", 10)
    ((2, 4), (8, 10), (6, 10), None)
    """
    found = _ONE.fullmatch(header.strip()) if header else None
    if found is None:
        return None
    first, last, suffix = found.groups()
    if suffix is not None:
        start, stop = max(0, size - int(suffix)), size
    else:
        start, stop = int(first), min(int(last) + 1, size) if last else size
        if last and int(last) < int(first):
            return None
    if start >= size:
        raise UnfitRangeError(f"bytes from {start} on of {size}")
    return start, stop
