"""Ctrl-C in two steps: the first stops a run after the parts in hand, the second at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stop:
    """Whether a run was asked to stop, by Ctrl-C or by the SIGTERM of a scheduler.

    Where there is nothing in hand, outside `patiently`, both raise KeyboardInterrupt at once.
    """

    def __init__(self) -> None:
        self.asked = False
        self._patient = False

    @contextmanager
    def heard(self) -> Iterator[None]:
        """Hear signals inside the block; a thread that is not the main one cannot, and leaves them alone."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.getsignal(number) for number in _SIGNALS}
        self._listen()
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextmanager
    def patiently(self) -> Iterator[None]:
        """Inside the block the first signal only sets `asked`."""
        if threading.current_thread() is threading.main_thread():
            self._listen()  # once more, as Ray hears SIGTERM itself from when it is joined
        self._patient = True
        try:
            yield
        finally:
            self._patient = False

    def _listen(self) -> None:
        for number in _SIGNALS:
            signal.signal(number, self._ask)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self.asked or not self._patient:
            raise KeyboardInterrupt
        self.asked = True
