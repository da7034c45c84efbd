"""Which windows get a listenable or a stored mask: drawn by a hash of the window's id, the same in every run."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

_SPAN = 1 << 64
FORMS = "all, none, share:P with P between 0 and 1, or per-target:K with a whole number K"


@dataclass(frozen=True)
class Draw:
    """A `share` of all windows (1 is all of them, 0 none), or `per_target` windows of each target.

    >>> Draw.parse("share:0.05").takes("0542b0b1cd4a1f0e9d2c3b4a59687766-00000")
    False
    """

    share: float = 1.0
    per_target: int | None = None

    @classmethod
    def parse(cls, text: str, per_target: bool = True) -> Draw:
        """Read a draw as people write it; `per_target` says whether that form is one of them.

        Raises ValueError for anything else, a share outside 0 to 1, and a number below 1.
        """
        text = text.strip()
        if text in ("all", "none"):
            return cls(1.0 if text == "all" else 0.0)
        form, sign, value = text.partition(":")
        try:
            if form == "share" and sign and 0 < float(value) < 1:
                return cls(float(value))
            if form == "per-target" and sign and per_target and int(value) >= 1:
                return cls(per_target=int(value))
        except ValueError:
            pass
        raise ValueError(f"expected {FORMS if per_target else FORMS.partition(', or')[0]}, got {text!r}")

    def __str__(self) -> str:
        if self.per_target is not None:
            return f"per-target:{self.per_target}"
        return "all" if self.share == 1 else "none" if self.share == 0 else f"share:{self.share:g}"

    def takes(self, window_id: str) -> bool:
        """Whether a window is drawn as far as its id alone decides; True for all where each target has its own."""
        return self.share == 1 or rank_of(window_id) < self.share * _SPAN


def rank_of(window_id: str) -> int:
    """Return a window's place in the draw, evenly spread over 64 bits: the lowest are drawn first."""
    return int.from_bytes(hashlib.sha256(window_id.encode()).digest()[:8], "big")
