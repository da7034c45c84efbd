"""Turn names from the input into parts of file names that people can find."""

from __future__ import annotations

import unicodedata

_MAX_BYTES = 60  # of the 255 bytes that a file name may have


def safe_name(name: str) -> str:
    """Return a name as one part of a file's name: the letters and digits of any script, joined by `_` (NFC).

    At most 60 bytes of UTF-8; `unnamed` if nothing is left. Different names may become the same.

    >>> safe_name("../Wärme/狗叫 (2)"), safe_name("...")
    ('Wärme_狗叫_2', 'unnamed')
    """
    kept = ""
    for character in unicodedata.normalize("NFC", name):
        # Marks are the vowels of some scripts; alone they are no letter.
        if character.isalnum() or (unicodedata.category(character)[0] == "M" and kept[-1:] not in ("", "_")):
            kept += character
        elif not kept.endswith("_"):
            kept += "_"
    return kept.strip("_").encode()[:_MAX_BYTES].decode(errors="ignore").rstrip("_") or "unnamed"


def explanation_name(number: int, target: str, recording: str, start_s: float) -> str:
    """Return the file name of an explanation, without kind and suffix; `number` keeps it apart from others.

    >>> explanation_name(3, "a/b", "my dog", 2.5)
    '0003-a_b-my_dog-2.5s'
    """
    return f"{number:04d}-{safe_name(target)}-{safe_name(recording)}-{start_s:g}s"
