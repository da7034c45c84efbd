"""`lmac explain` stopped by Ctrl-C and by SIGKILL, and started again, against a run that nothing disturbed."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from pipeline.runs.lease import LEASE
from pipeline.runs.output import RunOutput
from tests.flow.make import assert_same_explanations, rows, short_clips, write_folder

pytestmark = [pytest.mark.slow, pytest.mark.ray]

PARTS = 40
STOPPING = "stopping after the parts in flight; Ctrl-C again stops at once"


@dataclass(frozen=True)
class Disturbed:
    """Outputs of the two runs, and what was seen of the one that was stopped twice."""

    whole: Path
    output: Path
    interrupted: subprocess.CompletedProcess[str]
    output_then: Path
    resumed: subprocess.CompletedProcess[str]
    left_behind: set[str]
    before: dict[str, int]
    after: dict[str, int]


def start(source: str, output: Path, explainer: str, refine: int = 8) -> subprocess.Popen[str]:
    command = ["explain", source, str(output), "--explainer", explainer, "--listenables", "none", "--part-windows", "1"]
    # Refined, each part takes long enough for a run to be stopped in its middle, however busy the machine is.
    command += ["--actors", "1", "--cpus-per-actor", "1", "--device", "cpu", "--refine", str(refine)]
    return subprocess.Popen(
        [sys.executable, "-c", "from jobs.cli import main; main()", *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def finish(process: subprocess.Popen[str]) -> subprocess.CompletedProcess[str]:
    stdout, stderr = process.communicate(timeout=300)
    return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)


def commits(output: Path) -> dict[str, int]:
    """When each part's record was written, by path."""
    return {
        path.relative_to(output).as_posix(): path.stat().st_mtime_ns for path in output.glob("_commits/*/[0-9]*.json")
    }


def wait_for_commits(process: subprocess.Popen[str], output: Path, count: int) -> None:
    while len(commits(output)) < count:
        assert process.poll() is None, process.communicate()
        time.sleep(0.005)


def descendants(pid: int) -> set[int]:
    """The processes below one, itself excluded."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
    found, fresh = set(), {pid}
    while fresh:
        fresh = {child for child, parent in parents.items() if parent in fresh} - found
        found |= fresh
    return found


def alive(pids: set[int]) -> dict[int, str]:
    """Those that still run, with their names; a dead one that waits for its parent to notice does not."""
    running = {}
    for pid in pids:
        try:
            name, _, rest = Path(f"/proc/{pid}/stat").read_text().partition(" (")[2].rpartition(")")
        except OSError:
            continue
        if rest.split()[0] not in "ZX":
            running[pid] = name
    return running


def workers(pids: set[int]) -> set[str]:
    """The names of those that still run, but for Ray's two agents: they look for their node for a minute, then end."""
    return {name for name in alive(pids).values() if name not in ("ray::DashboardA", "ray::RuntimeEnv")}


@pytest.fixture(scope="module")
def disturbed(tiny_explainer: str, tmp_path_factory: pytest.TempPathFactory) -> Disturbed:
    folder = tmp_path_factory.mktemp("resume")
    many_clips = write_folder(folder / "listenables", short_clips(PARTS))
    assert finish(start(many_clips, folder / "whole", tiny_explainer)).returncode == 0
    output = folder / "output"

    process = start(many_clips, output, tiny_explainer)
    wait_for_commits(process, output, 2)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to everything in the foreground
    interrupted = finish(process)
    output_then = shutil.copytree(output, folder / "interrupted")
    seen = len(commits(output))

    process = start(many_clips, output, tiny_explainer)
    wait_for_commits(process, output, seen + 2)
    below = descendants(process.pid)
    process.kill()
    process.communicate(timeout=60)
    deadline = time.monotonic() + 20.0
    while workers(below) and time.monotonic() < deadline:
        time.sleep(0.05)
    left_behind = workers(below)
    for pid in alive(below):
        os.kill(pid, signal.SIGKILL)
    before = commits(output)

    resumed = finish(start(many_clips, output, tiny_explainer))
    return Disturbed(folder / "whole", output, interrupted, output_then, resumed, left_behind, before, commits(output))


def assert_stopped(stopped: subprocess.CompletedProcess[str], output: Path) -> None:
    """The command ended after the parts in flight, with 130, and said how to go on."""
    assert (stopped.returncode, stopped.stderr.count("the same command resumes from there")) == (130, 1)
    assert STOPPING in stopped.stdout
    assert f"{len(commits(output))} recordings in {len(commits(output))} windows of it by this run" in stopped.stdout
    assert "lost" not in stopped.stdout
    assert "Traceback" not in stopped.stdout + stopped.stderr
    assert 2 <= len(commits(output)) < PARTS
    # Whatever was written is committed, and nobody holds the output any more.
    left = RunOutput(str(output))
    named = {file.path for record in left.commits() for file in record.files}
    assert {file.path for file in left.content_files()} == named
    assert not (output / LEASE).exists()


def test_ctrl_c_stops_after_the_parts_in_flight(disturbed: Disturbed) -> None:
    assert_stopped(disturbed.interrupted, disturbed.output_then)


def test_both_were_stopped_in_the_middle(disturbed: Disturbed) -> None:
    assert 4 <= len(disturbed.before) < PARTS


def test_a_killed_run_leaves_nothing_behind_that_works_or_holds_memory(disturbed: Disturbed) -> None:
    assert disturbed.left_behind == set()


def test_the_same_command_finishes_the_run(disturbed: Disturbed) -> None:
    assert disturbed.resumed.returncode == 0, disturbed.resumed.stderr
    assert "resuming: " in disturbed.resumed.stdout
    assert (disturbed.output / "_SUCCESS").is_file()
    assert disturbed.after.keys() == commits(disturbed.whole).keys()


def test_parts_that_were_committed_are_not_written_again(disturbed: Disturbed) -> None:
    numbered = sorted(disturbed.before)
    follow = [path for path in numbered if all(earlier(path, n) in disturbed.before for n in range(part_of(path)))]
    assert follow
    assert {path: disturbed.after[path] for path in follow} == {path: disturbed.before[path] for path in follow}


def part_of(path: str) -> int:
    return int(Path(path).stem)


def earlier(path: str, part: int) -> str:
    return f"{Path(path).parent.as_posix()}/{part:06d}.json"


def test_the_tables_are_those_of_the_undisturbed_run(disturbed: Disturbed) -> None:
    assert_same_explanations(disturbed.output, disturbed.whole)
    one, other = (rows(output, "faithfulness") for output in (disturbed.output, disturbed.whole))
    assert [row["window_id"] for row in one] == [row["window_id"] for row in other]
    for name in ("p", "p_in", "p_out", "ff", "p_in_audio", "p_out_audio", "sps", "mask_mean", "energy_kept"):
        np.testing.assert_allclose([row[name] for row in one], [row[name] for row in other], atol=1e-3)
