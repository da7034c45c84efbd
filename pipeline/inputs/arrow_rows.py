"""Arrow batches -> rows of Python values that JSON metadata can be made of."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import Any

import pyarrow as pa


def class_names(schema: pa.Schema) -> dict[str, Callable[[Any], Any]]:
    """Return, for the columns that Hugging Face stores as class numbers, what gives a number its name."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        return {
            column: partial(_class_name, feature["names"])
            for column, feature in features.items()
            if feature.get("_type") == "ClassLabel" and column in schema.names
        }
    except (KeyError, TypeError, AttributeError, ValueError):
        return {}


def _class_name(names: list[str], number: Any) -> Any:
    return names[number] if isinstance(number, int) and 0 <= number < len(names) else number


def rows_of(batch: pa.RecordBatch) -> list[dict[str, Any]]:
    """Return the batch's rows; timestamps are brought to what Python's datetime can hold, microseconds in UTC."""
    columns = []
    for column in batch.columns:
        kind = column.type
        if pa.types.is_timestamp(kind):
            column = column.cast(pa.timestamp("us", kind.tz), safe=False)
            column = column.cast(pa.int64()).cast(pa.timestamp("us", "UTC" if kind.tz else None))
        elif pa.types.is_duration(kind):
            column = column.cast(pa.duration("us"), safe=False)
        elif pa.types.is_time(kind):
            column = column.cast(pa.time64("us"), safe=False)
        columns.append(column)
    names = batch.schema.names
    try:
        rows: list[dict[str, Any]] = pa.RecordBatch.from_arrays(columns, names=names).to_pylist()
    except (ValueError, OverflowError):
        rows = [dict(zip(names, cells, strict=True)) for cells in zip(*(map(_value, c) for c in columns), strict=True)]
    return rows


def _value(cell: pa.Scalar) -> Any:
    """Return a cell as a Python value; what Python has no value for, as text: bad UTF-8, dates after 9999."""
    try:
        return cell.as_py()
    except (ValueError, OverflowError):
        if pa.types.is_struct(cell.type):
            return {name: _value(field) for name, field in cell.items()}
        if pa.types.is_string(cell.type) or pa.types.is_large_string(cell.type):
            return cell.as_buffer().to_pybytes().decode("utf-8", "replace")
        if pa.types.is_temporal(cell.type):
            return f"{cell.value} ({cell.type})"
        return f"<no {cell.type}>"
