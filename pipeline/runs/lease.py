"""The lease on an output: a file in it that the writing run renews, and that keeps other runs away."""

from __future__ import annotations

import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path

from pydantic import ValidationError

from pipeline.runs.output import RunOutput, StoredFile
from pipeline.storage.errors import StorageError
from pipeline.storage.filesystem import display_url
from schemas.errors import LmacError, in_a_line
from schemas.records import LeaseRecord

LEASE = "_lease.json"
# Renewed every HEARTBEAT_S, taken for dead after TTL_S without; a claim still there after SETTLE_S is valid.
HEARTBEAT_S, TTL_S, SETTLE_S = 10.0, 60.0, 0.5
# A renewal that waits for its storage may delay the end of a run by this long.
RELEASE_S = 5.0


class LeaseError(LmacError):
    """Another run is writing the output, or has taken it over."""


@dataclass(frozen=True)
class Holder:
    """The lease found in an output; `renewed` is when its file was last written, by the storage's clock."""

    record: LeaseRecord
    renewed: datetime
    file: StoredFile

    @property
    def age_s(self) -> float:
        """Seconds since the last renewal, if the clocks of the storage and of this machine agree."""
        return (datetime.now(timezone.utc) - self.renewed).total_seconds()

    def is_alive(self) -> bool:
        """Whether the run that wrote it may still be writing; a dead run on this machine is recognised at once."""
        here = self.record.machine and self.record.machine == _machine()
        if here and _started(self.record.pid) != self.record.started:
            return False
        return self.age_s < TTL_S

    def describe(self) -> str:
        """Return who holds it and when its last heartbeat was, for people."""
        return (
            f"process {self.record.pid} on {self.record.host}, begun {_clock(self.record.begun)}, last heartbeat "
            f"{max(self.age_s, 0):.0f} s ago"
        )


class Lease:
    """A lease that this process holds, kept by a thread while the run goes on; made by `hold`."""

    def __init__(self, output: RunOutput, note: Callable[[str], None]) -> None:
        self._output, self._note = output, note
        self._place = display_url(output.url)
        pid = os.getpid()
        self._record = LeaseRecord(
            holder=uuid.uuid4().hex,
            host=socket.gethostname(),
            machine=_machine(),
            pid=pid,
            started=_started(pid),
            begun=datetime.now(timezone.utc),
        )
        self._lock, self._ended = threading.Lock(), threading.Event()
        self._renewed = 0.0
        self._lost = ""
        self._thread = threading.Thread(target=self._heartbeat, name="lease", daemon=True)

    def holds(self) -> bool:
        """Whether this run is known to hold it; False when it could not be renewed for a whole TTL.

        Raises LeaseError once another run holds it.
        """
        if self._lost:
            raise LeaseError(self._lost)
        return time.monotonic() - self._renewed < TTL_S

    def confirm(self) -> None:
        """Check the storage now, and renew the lease; raises LeaseError when another run holds it."""
        self._renew()
        self.holds()

    def claim(self, take_over: bool) -> None:
        """Write the lease and check that it stays; raises LeaseError when another run holds it or is quicker."""
        before = find_holder(self._output)
        living = before is not None and before.is_alive()
        if before is not None and living and not take_over:
            raise LeaseError(self._refusal(before))
        self._write()
        # A living run that is replaced must have noticed it before this run begins.
        time.sleep(HEARTBEAT_S + SETTLE_S if living else SETTLE_S)
        after = find_holder(self._output)
        if after is None or after.record.holder != self._record.holder:
            raise LeaseError(self._refusal(after) if after else f"{self._place}: its {LEASE} was removed: try again")
        self._thread.start()

    def release(self) -> None:
        """Stop renewing, and remove the lease if this run still holds it."""
        self._ended.set()
        if not self._renewed:
            return  # it was refused before anything was written
        left = f"its {LEASE} stays behind and blocks other runs for at most {TTL_S:.0f} s"
        if not self._lock.acquire(timeout=RELEASE_S):
            self._note(f"the storage does not answer: {left}")
            return
        try:
            holder = find_holder(self._output)
            if holder is not None and holder.record.holder == self._record.holder:
                self._output.delete([holder.file])
        except Exception as error:
            # This must not undo what the run has done, nor hide the error that it may be ending with.
            self._note(f"{left}: {error}")
        finally:
            self._lock.release()

    def _heartbeat(self) -> None:
        failing = False
        while not self._lost and not self._ended.wait(HEARTBEAT_S):
            try:
                self._renew()
                failing = False
            except Exception as error:
                # The storage may be back by the next heartbeat; `holds` knows for how long it was not.
                if not failing:
                    self._note(f"the lease on the output could not be renewed, trying again: {error}")
                failing = True

    def _renew(self) -> None:
        with self._lock:
            if self._ended.is_set() or self._lost:
                return
            holder = find_holder(self._output)
            if holder is None:
                self._lost = f"{self._place}: its {LEASE} was removed, by another run that had taken over or by hand"
            elif holder.record.holder != self._record.holder:
                self._lost = f"{self._place} was taken over by another run, {holder.describe()}"
            else:
                self._write()
                return
            self._lost += ": this run stops; what it has committed stays"

    def _write(self) -> None:
        began = time.monotonic()
        self._output.write_bytes(LEASE, self._record.model_dump_json(indent=1).encode())
        self._renewed = began

    def _refusal(self, holder: Holder) -> str:
        until = _clock(holder.renewed + timedelta(seconds=TTL_S))
        return (
            f"{self._place} is being written by another run, {holder.describe()}: wait until it ends (if it has died, "
            f"until {until}), or take over with --take-over"
        )


@contextmanager
def hold(output: RunOutput, note: Callable[[str], None], take_over: bool = False) -> Iterator[Lease]:
    """Hold the lease on an output inside the block; calls `note` when it cannot be renewed or removed.

    With `take_over`, a run that holds it loses it. Raises LeaseError when a living run holds it, StorageError when the
    storage cannot be reached.
    """
    lease = Lease(output, note)
    try:
        lease.claim(take_over)
        yield lease
    finally:
        lease.release()


def find_holder(output: RunOutput) -> Holder | None:
    """Return the lease in an output, of a living run or a dead one; raises StorageError when it is damaged."""
    file = next((file for file in output.stored(deep=False) if file.path == LEASE), None)
    if file is None:
        return None
    try:
        record = LeaseRecord.model_validate_json(output.read_bytes(LEASE))
    except ValidationError as error:
        raise StorageError(
            f"{display_url(output.url)}: its {LEASE} is damaged, or was written by another version: remove it if no "
            f"run is writing there ({in_a_line(error)})"
        ) from error
    except StorageError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            return None  # released since it was listed
        raise
    return Holder(record, file.modified or record.begun, file)


def living_holder(output: RunOutput) -> Holder | None:
    """Return the lease in an output if the run that holds it may still be writing."""
    holder = find_holder(output)
    return holder if holder is not None and holder.is_alive() else None


def refuse_living(output: RunOutput) -> None:
    """Raise LeaseError when a living run is writing the output."""
    holder = living_holder(output)
    if holder is not None:
        raise LeaseError(f"{display_url(output.url)} is being written by {holder.describe()}: wait until it ends")


def _machine() -> str:
    """Return the id of this machine's boot and of its process-id namespace; "" if the system does not say."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""


def _started(pid: int) -> str:
    """Return when a process was started, in the kernel's ticks; "" if there is none, or it has ended."""
    try:
        state, *fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if state in "ZX" else fields[18]


def _clock(moment: datetime) -> str:
    return moment.astimezone(timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")
