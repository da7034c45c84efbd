from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from tests.faults import strikes
from tests.faults.bench import Bench
from tests.faults.campaign import run_one, told
from tests.faults.schedule import Fault, draw
from tests.faults.trial import Trial


def test_a_schedule_that_breaks_off_is_not_sound_and_is_told_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def have(count: int) -> None:
        raise RuntimeError("Ray knows of 1 nodes at work")

    bench: Any = SimpleNamespace(
        nodes=SimpleNamespace(have=have),
        dataset=SimpleNamespace(clean="clean", poisoned="poisoned"),
        output=lambda store, name: tmp_path / name,
        command=lambda store, source, name, pool: [],
        log=lambda name: tmp_path / f"{name}.log",
    )
    outcome = run_one(cast(Bench, bench), draw(0))
    assert not outcome.sound
    assert "NOT SOUND, broke off: RuntimeError: Ray knows of 1 nodes" in told(outcome)
    assert "Traceback" in capsys.readouterr().err


def test_a_command_that_does_not_hear_ctrl_c_is_ended_and_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strikes, "STALL_S", 0.2)
    deaf = (
        "import signal, time; signal.signal(signal.SIGINT, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", deaf], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "deaf\n"

        def interrupt() -> None:
            process.send_signal(2)

        driver = SimpleNamespace(interrupt=interrupt, wait=process.wait, kill=process.kill)
        trial: Any = SimpleNamespace(driver=driver, problems=[], expected_ends=0, last_line=lambda: "deaf")
        assert strikes.strike(cast(Trial, _with_bench(trial)), Fault("ctrl-c"))
    assert process.returncode == -9
    assert trial.problems == ["Ctrl-C did not end the command in 0 s: deaf"]
    assert trial.expected_ends == 1


def _with_bench(trial: Any) -> Any:
    trial.bench = SimpleNamespace(s3=None, nodes=None)
    return trial
