"""The examples of docs/tools.md, as they stand there, and what they need to run."""

from __future__ import annotations

import importlib.util
import io
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from tests.flow.make import RATE, rows

PAGE = (Path(__file__).parents[2] / "docs" / "tools.md").read_text(encoding="utf-8")


def needs(*modules: str) -> None:
    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    if missing:
        pytest.skip(f"{' and '.join(missing)} not installed: docs/tools.md says how")


def interpreter_with(module: str, variable: str) -> str:
    """The interpreter that has a module which cannot be installed beside lmac, or this one where it has."""
    found = sys.executable if importlib.util.find_spec(module) is not None else os.environ.get(variable)
    if found is None:
        pytest.skip(f"{module} is not installed: name an interpreter that has it in {variable}, see docs/tools.md")
    return found


def printed_by(interpreter: str, *arguments: str) -> str:
    """What a program prints that runs without this process's packages."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run([interpreter, *arguments], env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


def example(section: str, language: str = "python") -> str:
    """The one block of a language below a heading of the page."""
    (text,) = re.findall(rf"^## {re.escape(section)}\n(.*?)(?=^## |\Z)", PAGE, flags=re.DOTALL | re.MULTILINE)
    (code,) = re.findall(rf"```{language}\n(.*?)```", text, flags=re.DOTALL)
    return str(code)


def names_after(section: str) -> dict[str, Any]:
    """What an example leaves behind, when it has run in this process."""
    names: dict[str, Any] = {}
    exec(compile(example(section), f"docs/tools.md, {section}", "exec"), names)
    return names


def mean_ff(run: str) -> dict[str, float]:
    found: dict[str, list[float]] = {}
    for row in rows(run, "faithfulness"):
        found.setdefault(row["target"], []).append(row["ff"])
    return {target: float(np.mean(values)) for target, values in found.items()}


def assert_written(names: dict[str, Any], run: str) -> None:
    """The example decoded one of the run's listenables that are masked in, at its rate."""
    written = [row["audio"]["bytes"] for row in rows(run, "listenables") if row["kind"] == "masked_in"]
    assert names["sample_rate"] == RATE
    assert any(np.array_equal(names["waveform"], soundfile.read(io.BytesIO(flac))[0]) for flac in written)
