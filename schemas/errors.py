"""Errors that people can mend: their base class, and what pydantic finds wrong, in words."""

from __future__ import annotations

from reprlib import Repr
from typing import Any

from pydantic import ValidationError


class LmacError(Exception):
    """Base of all errors that people can mend: the message names the thing, its value, and what to do.

    Anything else that is raised is a fault of the program.
    """


_SHORT = Repr()
_SHORT.maxstring = _SHORT.maxother = 120


def findings(error: ValidationError) -> list[str]:
    """A line for each value that does not fit: where it stands, what it must be, and what it is."""
    return [": ".join(filter(None, (_place(issue["loc"]), _finding(issue)))) for issue in error.errors()]


def in_a_line(error: ValidationError) -> str:
    """All that does not fit, in one line."""
    return "; ".join(findings(error))


def _place(loc: tuple[int | str, ...]) -> str:
    return ".".join(str(part) for part in loc)


def _finding(issue: Any) -> str:
    # What lacks a value, is no JSON or breaks a rule between values has the whole as its input: nothing to show.
    whole = issue["type"] in ("missing", "json_invalid") or not issue["loc"]
    return str(issue["msg"]) if whole else f"{issue['msg']}, got {_SHORT.repr(issue['input'])}"
