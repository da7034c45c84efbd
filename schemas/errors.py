"""Errors that people can fix: their base class, and what pydantic finds wrong, in words."""

from __future__ import annotations

from difflib import get_close_matches
from reprlib import Repr
from typing import Any, get_args

from pydantic import BaseModel, ValidationError


class LmacError(Exception):
    """Base of all errors that people can fix: the message names the thing, its value, and what to do.

    Any other exception is a bug in the program.
    """


_SHORT = Repr()
_SHORT.maxstring = _SHORT.maxother = 120


def findings(error: ValidationError, settings: type[BaseModel] | None = None) -> list[str]:
    """A line for each value that does not fit: where it stands, what it must be, and what it is.

    With `settings`, the model that was validated, an unknown name is reported with the nearest known name, or with all
    known names.
    """
    return [": ".join(filter(None, (_place(issue["loc"]), _finding(issue, settings)))) for issue in error.errors()]


def in_a_line(error: ValidationError) -> str:
    """Return everything that does not fit, in one line."""
    return "; ".join(findings(error))


def _place(loc: tuple[int | str, ...]) -> str:
    return ".".join(str(part) for part in loc)


def _finding(issue: Any, settings: type[BaseModel] | None) -> str:
    if issue["type"] == "extra_forbidden" and settings is not None:
        return _no_such_setting(issue["loc"], settings)
    if issue["type"] == "value_error":  # a rule of this project, whose message is whole
        return str(issue["ctx"]["error"])
    message = "there is no such field" if issue["type"] == "extra_forbidden" else str(issue["msg"])
    # For a missing value or invalid JSON the input is the whole document: nothing to show.
    whole = issue["type"] in ("missing", "json_invalid") or not issue["loc"]
    return message if whole else f"{message}, got {_SHORT.repr(issue['input'])}"


def _no_such_setting(loc: tuple[int | str, ...], settings: type[BaseModel]) -> str:
    models = [settings]
    for part in loc[:-1]:
        fields = [model.model_fields[part] for model in models if part in model.model_fields]
        # A part that is not a field says which of several models was meant.
        models = [found for field in fields for found in _models(field.annotation)] or [
            model for model in models if "kind" in model.model_fields and model.model_fields["kind"].default == part
        ]
    known = sorted({name for model in models for name in model.model_fields})
    if near := get_close_matches(str(loc[-1]), known, n=1):
        return f"there is no such setting; did you mean {near[0]}?"
    return f"there is no such setting{', only: ' if known else ''}{', '.join(known)}"


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models(part)]
