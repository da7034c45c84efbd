"""Arrow batches -> rows of Python values that can become JSON metadata."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pyarrow as pa

# Longer lists of numbers are an embedding or a signal, not metadata.
_MAX_NUMBERS = 64

Pick = Callable[[Any], Any]


def features_of(schema: pa.Schema) -> dict[str, Any]:
    """Return the features of columns that Hugging Face's `datasets` wrote into a schema's metadata; empty without."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        return {str(name): feature for name, feature in features.items() if name in schema.names}
    except (KeyError, TypeError, AttributeError, ValueError):
        return {}


def class_names(schema: pa.Schema) -> dict[str, Pick]:
    """Return, for the columns that Hugging Face stores as class numbers, a function from numbers to names.

    A class number below zero is no class: None. In lists and structs each number becomes its name.
    """
    picks = {name: _pick(feature) for name, feature in features_of(schema).items()}
    return {name: pick for name, pick in picks.items() if pick is not None}


def _pick(feature: Any) -> Pick | None:
    if isinstance(feature, list):
        return _of_each(_pick(feature[0])) if len(feature) == 1 else None
    if not isinstance(feature, dict):
        return None
    kind = feature.get("_type")
    if kind == "ClassLabel":
        names = feature.get("names")
        return (lambda number: _class_name(names, number)) if isinstance(names, list) else None
    if kind in ("Sequence", "List", "LargeList"):
        return _of_each(_pick(feature.get("feature")))
    if kind is None:
        fields = {name: pick for name, one in feature.items() if (pick := _pick(one)) is not None}
        return (lambda value: _of_fields(fields, value)) if fields else None
    return None


def _of_each(pick: Pick | None) -> Pick | None:
    if pick is None:
        return None
    return lambda values: [pick(value) for value in values] if isinstance(values, list) else pick(values)


def _of_fields(fields: dict[str, Pick], value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    # A sequence of structs is stored as a struct of lists.
    return value | {
        name: [pick(one) for one in value[name]] if isinstance(value.get(name), list) else pick(value.get(name))
        for name, pick in fields.items()
        if name in value
    }


def _class_name(names: list[str], number: Any) -> Any:
    if isinstance(number, int) and number < 0:
        return None
    return names[number] if isinstance(number, int) and number < len(names) else number


def named_rows(table: pa.Table) -> list[dict[str, Any]]:
    """Return a table's rows, with the names of classes instead of their numbers."""
    names = class_names(table.schema)
    rows = [row for batch in table.to_batches() for row in rows_of(batch)]
    return [row | {name: pick(row[name]) for name, pick in names.items()} for row in rows] if names else rows


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


def short(value: Any) -> Any:
    """Return a column's value with long lists of numbers replaced by their length."""
    if isinstance(value, list):
        if len(value) > _MAX_NUMBERS and isinstance(value[0], (int, float, list)):
            return f"<{len(value)} values>"
        return [short(one) for one in value]
    return {name: short(one) for name, one in value.items()} if isinstance(value, dict) else value


def _value(cell: pa.Scalar) -> Any:
    """Return a cell as a Python value, or as text if Python has no value for it: bad UTF-8, dates after 9999."""
    try:
        return cell.as_py()
    except (ValueError, OverflowError):
        kind = cell.type
        if pa.types.is_struct(kind):
            return {name: _value(field) for name, field in cell.items()}
        if pa.types.is_dictionary(kind):
            return _value(cell.value)
        if pa.types.is_list(kind) or pa.types.is_large_list(kind):
            return [_value(one) for one in cell.values]
        if pa.types.is_string(kind) or pa.types.is_large_string(kind):
            return cell.as_buffer().to_pybytes().decode("utf-8", "replace")
        if pa.types.is_temporal(kind):
            return f"{cell.value} ({kind})"
        return f"<no {kind}>"
