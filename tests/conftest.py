"""Fixtures shared by all tests: real recordings, a real S3 server, a tiny explainer and a run with it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipeline.datasets.scenes import write_scenes
from schemas.run_config import ContentConfig
from tests.flow.make import content_of, explain_here, mixed_recordings, save_tiny, write_folder
from tests.s3 import S3Server, serve_s3


@pytest.fixture(scope="session")
def esc10_dir() -> Path:
    """The folder of ESC-10, 400 recordings in ten folders and `meta/esc10.csv`."""
    folder = Path(os.environ.get("LMAC_ESC10") or Path(__file__).parents[2] / "shared" / "data" / "esc10")
    if not (folder / "meta" / "esc10.csv").is_file():
        pytest.skip(f"ESC-10 is not at {folder}: set LMAC_ESC10 to its folder")
    return folder


@pytest.fixture
def s3_server(tmp_path: Path) -> Iterator[S3Server]:
    """A real S3 server over a temporary folder, with the environment that clients need to reach it."""
    with serve_s3(tmp_path / "s3") as server:
        yield server


@pytest.fixture(scope="session")
def tiny_explainer(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The directory of an explainer with few and random weights."""
    return save_tiny(tmp_path_factory.mktemp("explainer") / "tiny")


@dataclass(frozen=True)
class TinyRun:
    """A finished run, not to be changed: its input, its output, and the command that goes on with it."""

    source: str
    output: str
    explainer: str
    command: list[str]


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory: pytest.TempPathFactory, tiny_explainer: str) -> TinyRun:
    """Five recordings in ten windows, and three that cannot be used, explained in this process, without Ray."""
    folder = tmp_path_factory.mktemp("run")
    source, output = write_folder(folder / "input", mixed_recordings()), str(folder / "output")
    config = folder / "run.yaml"
    config.write_text("content: {part_windows: 4, files_per_shard: 3}\ncluster: {actors: 1, cpus_per_actor: 1}\n")
    command = ["explain", source, output, "--explainer", tiny_explainer, "--config", str(config)]
    command += ["--listenables", "both", "--device", "cpu"]
    explain_here(source, output, content_of(tiny_explainer))
    return TinyRun(source, output, tiny_explainer, command)


@pytest.fixture(scope="session")
def two_labels_run(tmp_path_factory: pytest.TempPathFactory) -> TinyRun:
    """Four scenes of one window each, of which the two most probable labels are explained."""
    folder = tmp_path_factory.mktemp("two-labels")
    source, output = str(folder / "scenes"), str(folder / "output")
    write_scenes(source, 4, seed=5, format="flac")
    command = ["explain", source, output, "--explainer", "esc10", "--targets", "topk: 2", "--part-windows", "3"]
    command += ["--device", "cpu", "--actors", "1", "--cpus-per-actor", "1"]
    explain_here(source, output, ContentConfig(explainer="esc10", targets="topk:2", part_windows=3))
    return TinyRun(source, output, "esc10", command)


def printed_by(command: list[str]) -> str:
    """Run `lmac` to its end, on one thread an actor."""
    done = subprocess.run(
        [sys.executable, "-c", "from jobs.cli import main; main()", *command],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
