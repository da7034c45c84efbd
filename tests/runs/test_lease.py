"""The lease on an output: who is refused, who is not, and what the one who lost it is told."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.runs import lease
from pipeline.runs.lease import LEASE, LeaseError, find_holder, hold, living_holder
from pipeline.runs.output import RunOutput
from pipeline.storage.errors import StorageError
from schemas.records import LeaseRecord
from tests.jobs.test_cli import run
from tests.runs.test_leftovers import age, begin
from tests.s3 import S3Server


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "HEARTBEAT_S", 0.1)
    monkeypatch.setattr(lease, "SETTLE_S", 0.1)


@pytest.fixture
def output(tmp_path: Path) -> RunOutput:
    return RunOutput(str(tmp_path))


def noted(text: str) -> None:
    raise AssertionError(text)


def foreign(output: RunOutput, **changes: object) -> LeaseRecord:
    """Write the lease of another machine's run."""
    with hold(output, noted):
        held = find_holder(output)
    assert held is not None
    record = held.record.model_copy(update={"holder": "other", "host": "elsewhere", "machine": "else", **changes})
    output.write_bytes(LEASE, record.model_dump_json().encode())
    return record


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_lease_is_there_while_it_is_held_and_gone_after(output: RunOutput) -> None:
    with hold(output, noted) as held:
        record = json.loads(output.read_bytes(LEASE))
        assert (record["pid"], held.holds()) == (os.getpid(), True)
        assert living_holder(output) is not None
    assert [file.path for file in output.stored()] == []
    with pytest.raises(KeyboardInterrupt), hold(output, noted):
        raise KeyboardInterrupt
    assert [file.path for file in output.stored()] == []


def test_it_is_renewed(output: RunOutput, tmp_path: Path) -> None:
    with hold(output, noted):
        os.utime(tmp_path / LEASE, (1, 1))
        wait_until(lambda: (tmp_path / LEASE).stat().st_mtime > 1)


def test_a_second_run_is_refused_and_told_by_whom_and_what_to_do(output: RunOutput) -> None:
    with hold(output, noted) as first:
        said = (
            rf"process {os.getpid()} on .*, begun 2.* UTC, last heartbeat 0 s ago: wait .* until 2.* UTC.*--take-over"
        )
        with pytest.raises(LeaseError, match=said), hold(output, noted):
            raise AssertionError
        first.confirm()


def test_one_of_another_machine_is_waited_for_until_it_is_old(output: RunOutput, tmp_path: Path) -> None:
    foreign(output)
    with pytest.raises(LeaseError, match="on elsewhere"), hold(output, noted):
        raise AssertionError
    os.utime(tmp_path / LEASE, (time.time() - 61,) * 2)
    with hold(output, noted) as held:
        held.confirm()


def test_one_of_a_process_that_is_dead_on_this_machine_holds_nobody_up(output: RunOutput) -> None:
    code = (
        "import os, sys; from pipeline.runs.lease import hold; from pipeline.runs.output import RunOutput\n"
        f"with hold(RunOutput({output.url!r}), print): os.kill(os.getpid(), 9)"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == -9
    left = find_holder(output)
    assert left is not None
    assert left.age_s < 60
    assert not left.is_alive()
    with hold(output, noted) as held:
        held.confirm()


def test_a_process_with_the_id_of_a_dead_one_is_another(output: RunOutput) -> None:
    with hold(output, noted):
        mine = find_holder(output)
    assert mine is not None
    record = mine.record.model_copy(update={"started": "1"})
    output.write_bytes(LEASE, record.model_dump_json().encode())
    assert living_holder(output) is None


def test_who_is_taken_over_notices_and_leaves_the_other_lease(output: RunOutput) -> None:
    with hold(output, noted) as first, hold(output, noted, take_over=True) as second:
        with pytest.raises(LeaseError, match=r"was taken over by another run, process .*: this run stops"):
            first.holds()
        first.release()
        second.confirm()
        assert living_holder(output) is not None


def test_a_lease_that_was_removed_is_lost(output: RunOutput, tmp_path: Path) -> None:
    with hold(output, noted) as held:
        (tmp_path / LEASE).unlink()
        with pytest.raises(LeaseError, match="was removed"):
            held.confirm()


def test_of_two_that_claim_at_once_one_goes_on(output: RunOutput) -> None:
    outcomes: list[str] = []
    together, done = threading.Barrier(8), threading.Barrier(8)

    def claim() -> None:
        together.wait()
        try:
            with hold(output, noted):
                outcomes.append("held")
                done.wait(10)
        except LeaseError:
            outcomes.append("refused")
            done.wait(10)

    threads = [threading.Thread(target=claim) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["held"] + ["refused"] * 7


def test_a_lease_that_cannot_be_renewed_is_not_relied_on_until_it_can(
    output: RunOutput, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "TTL_S", 0.5)
    notes: list[str] = []
    with hold(output, notes.append) as held:
        # Read as a folder, the lease can be neither read nor replaced.
        data = (tmp_path / LEASE).read_bytes()
        (tmp_path / LEASE).rename(tmp_path / "aside")
        (tmp_path / LEASE).mkdir()
        monkeypatch.setattr(lease, "find_holder", lambda output: output.read_bytes(LEASE))
        wait_until(lambda: not held.holds())
        assert len(notes) == 1
        assert "could not be renewed, trying again" in notes[0]
        (tmp_path / LEASE).rmdir()
        (tmp_path / LEASE).write_bytes(data)
        monkeypatch.setattr(lease, "find_holder", find_holder)
        wait_until(held.holds)


def test_a_damaged_lease_says_what_to_do(output: RunOutput) -> None:
    output.write_bytes(LEASE, b"{")
    with pytest.raises(StorageError, match=r"is damaged, or .* remove it if no run"), hold(output, noted):
        raise AssertionError


def test_nothing_is_cleaned_under_a_living_lease_and_its_holder_is_shown(tmp_path: Path) -> None:
    output = begin(str(tmp_path))
    age(tmp_path, 48)
    before = {file.path for file in output.stored()}
    with hold(output, noted):
        code, said = run("clean", tmp_path)
        assert code == 1
        assert f"is being written by process {os.getpid()}" in said
        # Besides the lease there may be its next heartbeat, half written.
        assert before <= {file.path for file in output.stored()}
        assert run("clean", tmp_path, "--dry-run")[0] == 0
        assert f"being written by process {os.getpid()}" in run("status", tmp_path)[1]
        assert json.loads(run("status", tmp_path, "--json")[1])["written_by"]["pid"] == os.getpid()
    assert "being written" not in run("status", tmp_path)[1]
    assert run("clean", tmp_path)[0] == 0


@pytest.mark.slow
def test_a_lease_on_s3(s3_server: S3Server) -> None:
    output = RunOutput(f"{s3_server.bucket_url}/run")
    with hold(output, noted) as held:
        with pytest.raises(LeaseError), hold(output, noted):
            raise AssertionError
        held.confirm()
    assert find_holder(output) is None
