"""Data as scripts: each file calls one function, as a page opened from disk may load scripts and nothing else."""

from __future__ import annotations

import json
import math
from typing import Any

CALL = "lmac"
DIGITS = 4


def script_of(name: str, data: object) -> bytes:
    """Return a script that hands `data` over under `name`: ASCII, without anything that could end a script early.

    Floats have four decimals; NaN and infinities are null.

    >>> script_of("000", {"key": "</script>"}).decode()
    'lmac("000",{"key":"\\\\u003c/script\\\\u003e"});\\n'
    """
    return f"{CALL}({_json(name)},{_json(_plain(data))});\n".encode("ascii")


def _json(value: object) -> str:
    # ASCII alone: U+2028 and U+2029 end a line in older engines, and no page can take the bytes for another encoding.
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        if not math.isfinite(value):
            return None
        rounded = round(value, DIGITS)
        return int(rounded) if rounded.is_integer() else rounded
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
