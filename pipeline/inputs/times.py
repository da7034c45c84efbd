"""Segments: the columns of a table with the start and end times of a row in a recording."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any

from pipeline.storage.errors import InputError

_STARTS = ("start", "start_s", "start_time", "start_seconds", "begin", "begin_s", "begin_time", "onset")
_STOPS = ("end", "end_s", "end_time", "end_seconds", "stop", "stop_s")
_LENGTHS = ("duration", "duration_s", "dur")
_OFFSETS = ("offset", "offset_s")
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")


@dataclass(frozen=True)
class TimeColumns:
    """The columns of a table with a segment's start and its stop or length, in seconds."""

    start: str | None
    stop: str | None
    length: str | None

    def span(self, cells: Mapping[str, Any], where: str) -> tuple[float, float | None] | None:
        """Return a row's start and stop in seconds, None for the recording's end; None if it has no times.

        They are rounded to microseconds, as in the ids of segments: two that differ by less are one.

        Raises InputError, which begins with `where`, for a value that is no time, is before 0, or before the start.
        """
        start, stop, length = (_seconds(cells, name, where) for name in (self.start, self.stop, self.length))
        if start is None and (stop is None and (length is None or self.start is not None)):
            return None
        begin = 0.0 if start is None else _whole_us(start)
        end = stop if stop is not None else begin + length if length is not None else None
        end = None if end is None else _whole_us(end)
        if end is not None and end <= begin:
            raise InputError(
                f"{where}: the segment from {begin:g} s to {end:g} s has no length; its end comes after its start"
            )
        return begin, end

    @property
    def names(self) -> frozenset[str]:
        """The columns that are times."""
        return frozenset(filter(None, (self.start, self.stop, self.length)))


def time_columns(columns: list[str]) -> TimeColumns | None:
    """Return which columns are times; None if none are, as in a table with a `duration` alone.

    These are start and end, offset and duration, start and duration, onset and offset (`offset` is then the end), and
    an offset or onset alone, which goes to the recording's end.
    """
    by_name = {_plain(name): name for name in reversed(columns)}

    def first(known: tuple[str, ...]) -> str | None:
        return next((by_name[name] for name in known if name in by_name), None)

    start, stop, length, offset = first(_STARTS), first(_STOPS), first(_LENGTHS), first(_OFFSETS)
    if start is not None and _plain(start) == "onset" and stop is None and offset is not None:
        return TimeColumns(start, offset, None)
    if start is not None and (stop is not None or length is not None):
        return TimeColumns(start, stop, None if stop is not None else length)
    if offset is not None:
        return TimeColumns(offset, stop, None if stop is not None else length)
    if start is not None and _plain(start) == "onset":
        return TimeColumns(start, None, None)
    return None


def _plain(name: str) -> str:
    """Return a column's name in the form of the lists above: `begin_time` for `Begin Time (s)`."""
    return "_".join(re.sub(r"[(\[](s|sec|secs|seconds)[)\]]", "", name.casefold()).replace("-", " ").split()).strip("_")


def _whole_us(seconds: float) -> float:
    # Without the sign of a zero.
    return round(seconds, 6) + 0.0


def _seconds(cells: Mapping[str, Any], name: str | None, where: str) -> float | None:
    value = cells.get(name) if name is not None else None
    if value is None or value == "":
        return None
    number = isinstance(value, (int, float, Decimal)) and not isinstance(value, bool)
    if isinstance(value, timedelta):
        seconds = value.total_seconds()
    elif number or (isinstance(value, str) and _NUMBER.fullmatch(value)):
        seconds = float(value)
    else:
        seconds = math.nan
    if not math.isfinite(seconds):
        raise InputError(
            f"{where}: {name} is {value!r}, which is no number of seconds; if it is no time in the recording, rename "
            "the column or give --no-segments"
        )
    if seconds < 0:
        raise InputError(f"{where}: {name} is {seconds:g} s, before the recording begins")
    return seconds
