"""A run with dying processes and missing files."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from ray._private.state import actors

from pipeline.flow.actor_pool import RunFailedError
from pipeline.runs.output import RunOutput
from schemas.run_config import ContentConfig
from tests.flow.make import content_of, explain, rows, short_clips, write_folder
from tests.flow.meddle import Meddler, assert_whole
from tests.inputs.make import tar_bytes

pytestmark = [pytest.mark.slow, pytest.mark.ray]


@pytest.fixture
def content(tiny_explainer: str) -> ContentConfig:
    return content_of(tiny_explainer, files_per_shard=12, part_windows=1, listenables=())


def actor_pids() -> list[int]:
    """The processes of the actors that live in the cluster of this test."""
    return [actor["Pid"] for actor in actors().values() if actor["State"] == "ALIVE"]


def kill_actors() -> None:
    pids = actor_pids()
    assert pids
    for pid in pids:
        os.kill(pid, signal.SIGKILL)


def kill_decoders() -> None:
    """Kill the workers that decode: they are children of the same raylet as the actors."""
    (raylet,) = {parent_of(pid) for pid in actor_pids()}
    decoders = [
        int(entry.name)
        for entry in Path("/proc").iterdir()
        if entry.name.isdigit() and parent_of(int(entry.name)) == raylet and "decode_shard" in command_of(entry)
    ]
    assert decoders
    for pid in decoders:
        os.kill(pid, signal.SIGKILL)


def parent_of(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def command_of(process: Path) -> str:
    try:
        return (process / "cmdline").read_text()
    except OSError:
        return ""


@pytest.mark.parametrize(
    ("kill", "noted"), [(kill_actors, "an actor was lost (its process died)"), (kill_decoders, "tried again from part")]
)
def test_a_killed_process_costs_nothing(
    many_clips: str, content: ContentConfig, ray_address: str, tmp_path: Path, kill: Callable[[], None], noted: str
) -> None:
    reporter = Meddler("commit", kill)
    result = explain(many_clips, tmp_path / "out", content, reporter, address=ray_address)
    assert any(noted in note for note in reporter.notes), reporter.notes
    assert result.manifest.complete
    assert_whole(tmp_path / "out", 24)


def test_a_file_deleted_after_the_listing_is_an_error_of_that_clip(
    content: ContentConfig, ray_address: str, tmp_path: Path
) -> None:
    source = write_folder(tmp_path / "in", short_clips(4))
    reporter = Meddler("planned", (Path(source) / "s002.wav").unlink)
    result = explain(source, tmp_path / "out", content, reporter, address=ray_address)
    assert result.manifest.complete
    (error,) = rows(tmp_path / "out", "errors")
    assert (error["key"], error["stage"], error["reason"]) == ("s002.wav", "read", "missing")
    assert_whole(tmp_path / "out", 3)


def test_a_shard_deleted_after_the_listing_is_an_error_and_the_others_go_on(
    content: ContentConfig, ray_address: str, tmp_path: Path
) -> None:
    recordings = list(short_clips(4).items())
    source = Path(
        write_folder(tmp_path / "in", {"a.tar": tar_bytes(recordings[:2]), "b.tar": tar_bytes(recordings[2:])})
    )
    reporter = Meddler("planned", (source / "a.tar").unlink)
    result = explain(source, tmp_path / "out", content, reporter, address=ray_address)
    assert result.manifest.complete
    (error,) = rows(tmp_path / "out", "errors")
    assert (error["shard"], error["reason"]) == ("a.tar", "missing")
    assert_whole(tmp_path / "out", 2)


def test_actors_that_do_not_start_end_the_run_with_their_reason(
    many_clips: str, tiny_explainer: str, ray_address: str, tmp_path: Path
) -> None:
    explainer = shutil.copytree(tiny_explainer, tmp_path / "explainer")
    reporter = Meddler("planned", lambda: shutil.rmtree(explainer))
    with pytest.raises(
        RunFailedError, match=r"the last because: ExplainerError: no explainer at .*config.json is missing"
    ):
        explain(many_clips, tmp_path / "out", content_of(str(explainer)), reporter, address=ray_address, attempts=2)
    assert len(reporter.notes) == 1
    assert list(RunOutput(str(tmp_path / "out")).commits()) == []
