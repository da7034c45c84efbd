"""What the columns of a row mean: its start and end times, and its labels."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import timedelta
from typing import Any

from pipeline.inputs.table_columns import LABEL_COLUMNS
from pipeline.runs.verify.census.counted import WHOLE, Counted, Span, segment_id
from schemas.input_config import InputConfig

_FROM = ("start", "start_s", "start_time", "start_seconds", "begin", "begin_s", "begin_time", "onset")
_TO = ("end", "end_s", "end_time", "end_seconds", "stop", "stop_s")
_FOR = ("duration", "duration_s", "dur")


def spanned(
    identity: str,
    name: str,
    read: Callable[[], bytes],
    said: Mapping[str, Any],
    reading: InputConfig,
    columns: Iterable[str] = (),
) -> Iterator[Counted]:
    """Yield what a row is about, with its labels: all of a recording, or the segment between its times."""
    span = span_of(said, columns) if reading.segments else WHOLE
    shown = name if span == WHOLE else f"{name} from {span[0]:g} s"
    yield Counted(segment_id(identity, span), shown, read, labels_of(said, reading), span, identity)


def span_of(said: Mapping[str, Any], columns: Iterable[str] = ()) -> Span:
    """Return the times of a row in seconds; those of the whole recording if it has none.

    The time columns are found among the `columns` of its table, as a row of JSON may lack some.
    """
    there = {_column(name): name for name in (*columns, *said)}
    start, stop, length = (next((there[one] for one in some if one in there), None) for some in (_FROM, _TO, _FOR))
    offset = next((there[one] for one in ("offset", "offset_s") if one in there), None)
    is_onset = start is not None and _column(start) == "onset"
    if is_onset and stop is None and offset is not None:
        stop, length = offset, None
    elif start is None or (stop is None and length is None):
        start = offset or (start if is_onset else None)
    if start is None:
        return WHOLE
    begin, end, lasts = (_number(said.get(name)) if name else None for name in (start, stop, length))
    if stop is None:
        end = begin + lasts if begin is not None and lasts is not None else None
    # To the microsecond, as the ids are.
    return round(begin or 0.0, 6), None if end is None else round(end, 6)


def _column(name: str) -> str:
    """Return a column's plain name: `begin_time` for `Begin Time (s)`."""
    words = name.lower().replace("-", "_").replace(" ", "_")
    for unit in ("(s)", "[s]", "(sec)", "[sec]", "(secs)", "[secs]", "(seconds)", "[seconds]"):
        words = words.replace(unit, "")
    return words.strip("_")


def _number(value: Any) -> float | None:
    try:
        return value.total_seconds() if isinstance(value, timedelta) else float(value)
    except (TypeError, ValueError):
        return None


def labels_of(said: Mapping[str, Any], reading: InputConfig) -> tuple[str, ...] | None:
    """Return the labels in a row or a sidecar; None if it has no field for them."""
    by_name = {name.lower(): value for name, value in reversed(list(said.items()))}
    wanted = [reading.label_column.lower()] if reading.label_column else [*LABEL_COLUMNS, "cls"]
    there = [by_name[name] for name in wanted if name in by_name]
    if not there:
        return None
    value = next((one for one in there if one not in (None, "", [])), None)
    values = value if isinstance(value, list) else [] if value is None else [value]
    if reading.label_separator:
        values = [part for one in values for part in str(one).split(reading.label_separator)]
    shown = (
        str(one).strip().encode("utf-8", "surrogatepass").decode("utf-8", "replace")
        for one in values
        if one is not None
    )
    return tuple(dict.fromkeys(one for one in shown if one))
