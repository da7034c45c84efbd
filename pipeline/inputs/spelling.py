"""Spellings of one name in tables and on disks: accents composed or not, backslashes."""

from __future__ import annotations

import posixpath
import unicodedata


def spellings(path: str) -> tuple[str, ...]:
    """Return a path as it is written, then as a disk may spell it instead."""
    slashed = path.replace("\\", "/")
    forms = (unicodedata.normalize(form, one) for one in (path, slashed) for form in ("NFC", "NFD"))
    return tuple(dict.fromkeys((path, slashed, *forms)))


def folded(name: str) -> str:
    """Return the normal form in which names are compared: composed, with slashes, without `./` and doubled slashes."""
    name = unicodedata.normalize("NFC", name).replace("\\", "/").strip()
    return posixpath.normpath(name) if name else ""
