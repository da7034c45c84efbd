"""`lmac explain` as a process, and how far its output has come."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.faults.processes import send

# A command that does nothing for longer is taken for one that would never end: storage is given 180 s to come back.
STALL_S = 300.0


class Driver:
    """One start of the command; what it prints goes into `log`."""

    def __init__(self, arguments: Sequence[str], log: Path) -> None:
        self._log = log
        self._from = log.stat().st_size if log.exists() else 0
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-c", "from jobs.cli import main; main()", "explain", *arguments],
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                env={**os.environ, "OMP_NUM_THREADS": "1"},
            )

    @property
    def code(self) -> int | None:
        """Its exit code; None while it runs."""
        return self._process.poll()

    def wait(self, timeout_s: float) -> int:
        """Wait until it ends; returns its exit code. Raises subprocess.TimeoutExpired."""
        return self._process.wait(timeout_s)

    def printed(self) -> str:
        """What it has printed so far."""
        return self._log.read_bytes()[self._from :].decode("utf-8", "replace")

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone; nothing if it is."""
        self._process.kill()
        self._process.wait()

    def interrupt(self) -> None:
        """What Ctrl-C does."""
        send(self._process.pid, signal.SIGINT)


def committed(output: Path) -> int:
    """How many parts of a run are committed."""
    return sum(1 for path in output.glob("_commits/*/*.json") if path.stem.isdecimal())
