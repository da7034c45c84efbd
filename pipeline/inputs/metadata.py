"""Make metadata of recordings safe for JSON, wherever it came from."""

from __future__ import annotations

import base64
import datetime
import decimal
import json
import math
from typing import Any

from pipeline.inputs.shards import printable
from pipeline.inputs.suffixes import suffix_of

_MAX_BINARY = 4096


def jsonable(value: Any) -> Any:
    """Return `value` as JSON can hold it.

    NaN and infinities become None, dates ISO 8601, durations seconds, decimals text, bytes base64 (or, past
    4 KiB, their number only).
    """
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, datetime.timedelta):
        return value.total_seconds()
    if isinstance(value, decimal.Decimal):
        return str(value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        raw = bytes(value)
        return base64.b64encode(raw).decode() if len(raw) <= _MAX_BINARY else f"<{len(raw)} bytes>"
    if isinstance(value, dict):
        return {printable(str(key)): jsonable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set)):
        return [jsonable(item) for item in value]
    if hasattr(value, "item") and hasattr(value, "dtype"):
        return jsonable(value.tolist())
    return printable(str(value))


def parse_sidecar(data: bytes, name: str) -> dict[str, Any]:
    """Return a sidecar's metadata: the fields of a JSON file, or a text's contents under its suffix, `cls` for `a.cls`.

    A damaged sidecar does not cost the recording: what is wrong with it becomes the metadata field `metadata_error`.
    """
    suffix = suffix_of(name)
    if suffix != ".json":
        return {suffix[1:]: printable(data.decode("utf-8-sig", "replace").strip())}
    try:
        value = json.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        return {"metadata_error": printable(f"{name} is not valid JSON: {error}")}
    parsed = jsonable(value)
    return parsed if isinstance(parsed, dict) else {"json": parsed}
