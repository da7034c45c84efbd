"""Names of methods, audio and scores: as printed, and as users may write them."""

from __future__ import annotations

import re
from collections.abc import Iterable

from schemas.errors import LmacError

_INITIALS = {"iou": "IoU", "ssim": "SSIM"}


class EvaluationError(LmacError):
    """An evaluation cannot be made with these settings; the message names the setting, its value, and what to do."""


def printed(name: str) -> str:
    """Format a name as the report prints it.

    >>> printed("integrated_gradients")
    'integrated gradients'
    """
    return _INITIALS.get(name, name.replace("_", " "))


def known_name(given: str, known: Iterable[str], option: str) -> str:
    """Find a given name among `known`, ignoring capitals, spaces, hyphens and underscores.

    Raises EvaluationError, which lists the known names, if there is none, or several that differ only in these.

    >>> known_name("Integrated gradients", ["saliency", "integrated_gradients"], "--methods")
    'integrated_gradients'
    """
    names = list(dict.fromkeys(known))
    if given in names:
        return given
    meant = [name for name in names if same_name(name, given)]
    if len(meant) != 1:
        raise EvaluationError(f"{option}: {given!r} is not known: choose from {', '.join(names)}")
    return meant[0]


def same_name(first: str, second: str) -> bool:
    """Return whether two names are equal but for capitals, spaces, hyphens and underscores."""
    return _letters_and_numbers(first) == _letters_and_numbers(second)


def _letters_and_numbers(name: str) -> list[str]:
    # The minus in `rain -5 dB` follows a space, a hyphen follows a letter.
    numbers = re.sub(r"(?<=\w)-", " ", name.lower().replace("_", " "))
    return re.findall(r"-?\d+(?:\.\d+)?|[^\W\d]+", re.sub(r"(?<=[^\W\d])\s+(?=[^\W\d])", "", numbers))
