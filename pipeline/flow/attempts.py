"""How often each shard has failed since it last made progress, and the reason that Ray reports."""

from __future__ import annotations

import re
import time
from collections import Counter

from ray.exceptions import RayActorError, RayError, RayTaskError

_ESCAPES = re.compile(r"\x1b\[[0-9;]*m")  # colours of a terminal


class Attempts:
    """Counts failed attempts by shard; progress resets the count, as unrelated faults may meet a long shard."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._charged: Counter[str] = Counter()
        self._since: dict[str, float] = {}

    def begin(self, shard_id: str) -> None:
        """Record that the shard is assigned, for the first time since its last commit or again."""
        self._since.setdefault(shard_id, time.monotonic())

    def progress(self, shard_id: str) -> None:
        """Record that a part of the shard was committed."""
        del self._charged[shard_id]
        self._since[shard_id] = time.monotonic()

    def charge(self, shard_id: str) -> None:
        """Count a failed attempt that, as far as is known, was the shard's own fault."""
        self._charged[shard_id] += 1

    def charged(self, shard_id: str) -> int:
        """The number of attempts that have failed since the shard's last commit."""
        return self._charged[shard_id]

    def spent(self, shard_id: str) -> bool:
        """Whether the shard has had all its attempts."""
        return self._charged[shard_id] >= self._limit

    def seconds(self, shard_id: str) -> float:
        """Seconds since the shard's last commit, or since it was first assigned."""
        return time.monotonic() - self._since[shard_id]


def reason_of(error: RayError) -> str:
    """Return the first line of the error's cause, without Ray's wrapping."""
    if isinstance(error, RayActorError) and error.actor_init_failed:
        # The original error is there as text only, below a traceback.
        return re.sub(r"^[\w.]*\.", "", _ESCAPES.sub("", str(error)).strip().splitlines()[-1])
    cause = _cause(error)
    line = _ESCAPES.sub("", str(cause)).strip().splitlines()
    return f"{type(cause).__name__}: {line[0] if line else 'no message'}"


def is_ray_failure(error: RayTaskError) -> bool:
    """Whether a task failed because a process or an object was lost, rather than with an error of its own."""
    cause = _cause(error)
    return isinstance(cause, RayError) and not isinstance(cause, RayTaskError)


def _cause(error: BaseException) -> BaseException:
    while isinstance(error, RayTaskError) and isinstance(error.cause, BaseException):
        error = error.cause
    return error
