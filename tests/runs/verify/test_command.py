"""`lmac verify`: what it prints and how it ends."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.conftest import TinyRun
from tests.jobs.test_cli import run
from tests.runs.verify.damage import Damaged

pytestmark = pytest.mark.slow


def test_the_command(damaged: Damaged, tiny_run: TinyRun) -> None:
    code, said = run("verify", damaged.folder)
    assert code == 0
    assert said.startswith(
        "checked 4 parts in 13 files of 0.7 MB: 8 recordings, 3 of them not used in full; 10 windows, 10 masks"
    )
    assert said.endswith("nothing found to be wrong")
    kind, path = "missing_file", damaged.file("masks").path
    (damaged.folder / path).unlink()
    code, said = run("verify", damaged.folder)
    assert code == 1
    assert f"{kind}: 1 {path}: it is recorded and not there" in said
    code, said = run("verify", damaged.folder, "--json")
    assert code == 1
    told = json.loads(said)
    assert told["sound"] is False
    assert told["findings"][kind]["count"] == 1
    assert told["findings"][kind]["first"][0]["file"] == path
    assert run("verify", tiny_run.source) == (
        1,
        f"error: {tiny_run.source}: it has no _run.json: give the output of `lmac explain`",
    )
    code, said = run("verify", damaged.folder, "--deep", "3")
    assert (code, said) == (1, "error: --deep explains windows again from the input: give --input")


def test_the_input_s_count_is_printed(tiny_run: TinyRun, tmp_path: Path) -> None:
    source = shutil.copytree(tiny_run.source, tmp_path / "in")
    (source / "notes.txt").write_text("x")
    code, said = run("verify", tiny_run.output, "--input", source)
    assert code == 0
    assert " 8 recordings in the input, 5 heard in full, 0 in part, 3 in errors, 1 file of other kinds" in said
