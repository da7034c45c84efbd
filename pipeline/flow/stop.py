"""Ctrl-C in two steps: the first stops a run after the parts in flight, the second at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stop:
    """Whether Ctrl-C, or the SIGTERM of a scheduler, has asked a run to stop.

    While nothing is in flight, outside `deferring`, either one raises KeyboardInterrupt at once.
    """

    def __init__(self) -> None:
        self.requested = False
        self._deferring = False

    @contextmanager
    def handling_signals(self) -> Iterator[None]:
        """Handle both signals inside the block; a thread other than the main one cannot, and leaves them alone."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.getsignal(number) for number in _SIGNALS}
        self._install()
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextmanager
    def deferring(self) -> Iterator[None]:
        """Inside the block the first signal only sets `requested`."""
        if threading.current_thread() is threading.main_thread():
            self._install()  # once more, as Ray installs a handler of SIGTERM when it is joined
        self._deferring = True
        try:
            yield
        finally:
            self._deferring = False

    def _install(self) -> None:
        for number in _SIGNALS:
            signal.signal(number, self._handle)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.requested or not self._deferring:
            raise KeyboardInterrupt
        self.requested = True
