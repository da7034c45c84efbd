"""Which windows get a listenable or a stored mask, and which recordings a pilot has: drawn by a hash of their ids."""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Iterable
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
        """Read a draw as people write it; `per_target` says whether that form is allowed.

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
        """Whether a window is drawn, as far as its id alone decides; True for all if each target has its own draw."""
        return self.share == 1 or rank_of(window_id) < self.share * _SPAN


def rank_of(identity: str) -> int:
    """Return a window's or a recording's place in the draw, spread evenly over 64 bits: the lowest are drawn first."""
    return int.from_bytes(hashlib.sha256(identity.encode()).digest()[:8], "big")


@dataclass(frozen=True)
class Sample:
    """Which recordings a pilot explains: a `share` of them, or a `count`, by the ranks of their ids.

    >>> Sample.parse("5000").count, Sample.parse("0.01").share
    (5000, 0.01)
    """

    share: float | None = None
    count: int | None = None

    @classmethod
    def parse(cls, text: str) -> Sample:
        """Read a whole number of recordings, or a share between 0 and 1; raises ValueError for anything else."""
        text = text.strip()
        try:
            if text.isascii() and text.isdigit() and int(text) >= 1:
                return cls(count=int(text))
            if 0 < float(text) <= 1:
                return cls(share=float(text))
        except ValueError:
            pass
        raise ValueError(f"expected a number of recordings, as in 5000, or a share of them, as in 0.01, got {text!r}")

    def __str__(self) -> str:
        # A share of 1.0 is not a count of 1.
        return str(self.count if self.count is not None else self.share)

    @property
    def limit(self) -> int:
        """The rank below which a share is drawn."""
        return int((self.share or 0.0) * _SPAN)

    def limit_among(self, ids: Iterable[str]) -> int:
        """The rank below which `count` of these ids are drawn, or all of them where there are fewer."""
        lowest = heapq.nsmallest(self.count or 0, (rank_of(identity) for identity in ids))
        return lowest[-1] + 1 if lowest else 0
