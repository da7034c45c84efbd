"""A cache of files that are made on demand, and kept as long as there is room."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


class OnDemand(Generic[K]):
    """Makes files by key, once however many threads ask for it, and keeps up to `max_bytes` of the last requested.

    What `make` raises is raised to all that wait for it, and not kept.
    """

    def __init__(self, make: Callable[[K], dict[str, bytes]], max_bytes: int) -> None:
        self._make, self._max_bytes = make, max_bytes
        self._lock = threading.Lock()
        self._made: OrderedDict[K, Future[dict[str, bytes]]] = OrderedDict()
        self._sizes: dict[K, int] = {}
        self._bytes = 0

    def get(self, key: K) -> dict[str, bytes]:
        """The files of a key, by path."""
        with self._lock:
            future = self._made.get(key)
            if mine := future is None:
                future = self._made[key] = Future()
            self._made.move_to_end(key)
        if mine:
            self._fill(key, future)
        return future.result()

    def _fill(self, key: K, future: Future[dict[str, bytes]]) -> None:
        try:
            files = self._make(key)
        except BaseException as error:
            with self._lock:
                del self._made[key]
            future.set_exception(error)
            return
        with self._lock:
            self._sizes[key] = sum(map(len, files.values()))
            self._bytes += self._sizes[key]
            if self._bytes > self._max_bytes:
                self._make_room(key)
        future.set_result(files)

    def _make_room(self, key: K) -> None:
        """Evict the least recently used, but not `key`; files being made have no size yet, and stay."""
        for old in [one for one in self._made if one in self._sizes and one != key]:
            if self._bytes <= self._max_bytes:
                return
            del self._made[old]
            self._bytes -= self._sizes.pop(old)
