"""A run with recordings whose decoding kills, or never ends: each is named, its neighbours are explained."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.audio.poison import poison, write_poisoner
from tests.flow.make import rows, short_clips, write_folder
from tests.flow.meddle import assert_whole

pytestmark = [pytest.mark.slow, pytest.mark.ray]


def test_a_clip_whose_decoding_kills_the_process_is_named_and_its_neighbours_are_explained(
    tiny_explainer: str, tmp_path: Path
) -> None:
    source = write_folder(tmp_path / "in", {**short_clips(11), "s005x.wav": poison("SEGFAULT")})
    output = tmp_path / "out"
    command = ["explain", source, str(output), "--explainer", tiny_explainer, "--part-windows", "4"]
    command += ["--device", "cpu", "--actors", "1", "--cpus-per-actor", "1"]
    path = os.pathsep.join(filter(None, [write_poisoner(tmp_path / "site"), os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        [sys.executable, "-c", "from jobs.cli import main; main()", *command],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "crashed: 1" in done.stdout
    (error,) = rows(output, "errors")
    assert (error["key"], error["stage"], error["reason"]) == ("s005x.wav", "decode", "crashed")
    assert "SIGSEGV" in error["message"]
    assert_whole(output, 11)
