"""Load configurations from YAML files and command-line options, and validate them."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from schemas.errors import LmacError, findings

C = TypeVar("C", bound=BaseModel)
# What stands before the name of a setting; behind it may be the number of an item.
_SECTIONS = re.compile(r"^(?:[A-Za-z_]\w*\.)+(?=[A-Za-z_]\w*(?:\.\d+)*: )")


class ConfigError(LmacError):
    """A configuration is not understood; the message names the field, its value and what it must be."""


def load_config(kind: type[C], path: Path | None, options: Mapping[str, Any]) -> C:
    """Return the defaults of a configuration, overridden by a YAML file (or none), and both by options.

    Settings that a section does not name keep their defaults in `kind()`, without arguments. `options` are dotted names
    and values, such as `{"cluster.actors": 2}`; None stands for "not given".
    Raises ConfigError when the file cannot be read or a value does not fit.
    """
    values = _read(path) if path else {}
    for name, value in options.items():
        if value is not None:
            *folders, last = name.split(".")
            place = values
            for folder in folders:
                if place.get(folder) is None:  # a section that is named and left empty
                    place[folder] = {}
                place = place[folder]
                if not isinstance(place, dict):
                    raise ConfigError(f"{path}: {folder} must hold settings by name, got {place!r}")
            place[last] = os.fspath(value) if isinstance(value, os.PathLike) else value
    try:
        return kind.model_validate(_over(kind().model_dump(), values))
    except ValidationError as error:
        found = findings(error, kind)
        if path is not None:
            raise ConfigError("\n  ".join([f"{path}:", *found])) from None
        # Options have no sections: what a name in a file begins with is not what was typed.
        raise ConfigError("\n".join(_SECTIONS.sub("", line) for line in found)) from None


def _over(defaults: dict[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(defaults)
    for name, value in values.items():
        section = merged.get(name)
        if isinstance(section, dict) and not _other_kind(section, value):
            merged[name] = _over(section, value) if isinstance(value, dict) else section if value is None else value
        else:
            merged[name] = value
    return merged


def _other_kind(section: Mapping[str, Any], value: Any) -> bool:
    # A section of another kind has other settings: the defaults of the first say nothing about it.
    return isinstance(value, dict) and "kind" in value and value["kind"] != section.get("kind")


def _read(path: Path) -> dict[str, Any]:
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not YAML: {error}") from None
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise ConfigError(f"{path} must hold settings by name, got a {type(values).__name__}")
    return values
