"""Decoders and readers, whatever they are given, end with sound, with a fault, or with an error for people."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.bad_input import fuzz as fuzzing
from tests.bad_input.fuzz import fuzz


@pytest.mark.slow
def test_five_hundred_cases_end_as_they_may() -> None:
    outcome = fuzz(500, seed=1)
    assert (outcome.crashes, outcome.hangs) == ({}, [])
    assert outcome.cases == 500
    assert {"sound", "truncated", "not_audio", "undecodable", "read", "InputError"} <= outcome.results.keys()


_CASES = """
import os, signal, time
def run_case(seed, number, folder):
    if number == 3: os.kill(os.getpid(), signal.SIGSEGV)
    if number == 5: time.sleep(60)
    if number == 7: raise KeyError("unforeseen")
    return "sound"
"""


def test_what_kills_hangs_or_raises_is_found_and_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    child = (Path(fuzzing.__file__).parent / "fuzz_child.py").read_text()
    (tmp_path / "child.py").write_text(child.replace("from tests.bad_input.cases import run_case", _CASES))
    monkeypatch.setattr(fuzzing, "CHILD", (sys.executable, str(tmp_path / "child.py")))
    monkeypatch.setattr(fuzzing, "HANG_S", 1.0)
    outcome = fuzz(10, seed=0)
    assert outcome.crashes.keys() == {3, 7}
    assert "-11" in outcome.crashes[3]
    assert "unforeseen" in outcome.crashes[7]
    assert outcome.hangs == [5]
    assert (outcome.results["sound"], outcome.cases) == (7, 10)
