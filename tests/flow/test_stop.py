"""Ctrl-C in two steps, SIGTERM, and a run whose place is taken."""

from __future__ import annotations

import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest

from pipeline.flow.stop import Stop
from pipeline.runs import lease
from pipeline.runs.lease import LEASE, LeaseError, hold
from pipeline.runs.output import RunOutput
from tests.flow.make import content_of, explain, rows, short_clips, write_folder
from tests.flow.meddle import Meddler, assert_whole
from tests.flow.test_resume import PARTS, STOPPING, assert_stopped, finish, start, wait_for_commits


def read_until(process: subprocess.Popen[str], text: str) -> str:
    """Read what a run prints until it says so."""
    assert process.stdout is not None
    said = ""
    for line in process.stdout:
        said += line
        if text in line:
            return said
    raise AssertionError(said)


def test_the_first_signal_requests_a_stop_and_the_second_interrupts() -> None:
    stop = Stop()
    before = signal.getsignal(signal.SIGTERM)
    with stop.handling_signals():
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
        with stop.deferring():
            signal.raise_signal(signal.SIGTERM)
            assert stop.requested
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_thread_that_cannot_handle_signals_leaves_them_alone() -> None:
    before, seen = signal.getsignal(signal.SIGINT), []

    def handle() -> None:
        stop = Stop()
        with stop.handling_signals(), stop.deferring():
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=handle)
    thread.start()
    thread.join()
    assert seen == [before]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_folder(tmp_path_factory.mktemp("stop"), short_clips(PARTS))


@pytest.mark.slow
@pytest.mark.ray
def test_sigterm_stops_after_the_parts_in_flight(source: str, tiny_explainer: str, tmp_path: Path) -> None:
    output = tmp_path / "out"
    process = start(source, output, tiny_explainer)
    wait_for_commits(process, output, 2)
    process.send_signal(signal.SIGTERM)
    assert_stopped(finish(process), output)


@pytest.mark.slow
@pytest.mark.ray
def test_two_signals_stop_at_once(source: str, tiny_explainer: str, tmp_path: Path) -> None:
    output = tmp_path / "out"
    process = start(source, output, tiny_explainer, refine=1000)  # a part takes longer than anyone waits
    deadline = time.monotonic() + 120
    while not (output / "_run.json").exists():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    read_until(process, "actor on 1 CPU core")
    time.sleep(8)
    process.send_signal(signal.SIGINT)
    read_until(process, STOPPING)
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    stopped = finish(process)
    assert time.monotonic() - began < 60
    assert stopped.returncode == 130
    assert "Traceback" not in stopped.stderr
    assert not (output / LEASE).exists()


@pytest.mark.slow
@pytest.mark.ray
def test_a_run_whose_place_is_taken_stops_without_an_end(
    many_clips: str, tiny_explainer: str, ray_address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "HEARTBEAT_S", 0.2)
    output, content = tmp_path / "out", content_of(tiny_explainer, part_windows=1, listenables=(), refine=20)
    other = hold(RunOutput(str(output)), print, take_over=True)
    reporter = Meddler("commit", other.__enter__)
    with pytest.raises(LeaseError, match="was taken over by another run"):
        explain(many_clips, output, content, reporter, address=ray_address)
    assert not (output / "_manifest.json").exists()
    with pytest.raises(LeaseError, match="is being written by another run"):
        explain(many_clips, output, content, address=ray_address)
    other.__exit__(None, None, None)
    explain(many_clips, output, content, address=ray_address)
    assert_whole(output, 24)
    assert len(rows(output, "predictions")) == 24
