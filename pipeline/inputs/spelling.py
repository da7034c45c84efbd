"""One name in the spellings that tables and disks have for it: accents composed or not, backslashes."""

from __future__ import annotations

import posixpath
import unicodedata


def spellings(path: str) -> tuple[str, ...]:
    """Return a path as it is written, and then as a disk may have it instead."""
    slashed = path.replace("\\", "/")
    forms = (unicodedata.normalize(form, one) for one in (path, slashed) for form in ("NFC", "NFD"))
    return tuple(dict.fromkeys((path, slashed, *forms)))


def folded(name: str) -> str:
    """Return the one spelling by which names are compared: composed, with slashes, without `./` and doubled slashes."""
    name = unicodedata.normalize("NFC", name).replace("\\", "/").strip()
    return posixpath.normpath(name) if name else ""
