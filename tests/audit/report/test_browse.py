"""A run that is served: the same pages as its report writes, and the sound of all windows, read when asked for."""

from __future__ import annotations

import io
import json
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from pipeline.audit.report.browse import Browsing, browse
from pipeline.audit.report.write import report
from pipeline.runs.run import open_run
from schemas.report_config import BrowseConfig, ReportConfig
from tests.audit.report.make import HOSTILE, audited, few, many
from tests.audit.report.served import ask
from tests.s3 import S3Server

pytestmark = pytest.mark.slow

CLASSES = ("rain", "dog", HOSTILE)


@pytest.fixture(scope="module")
def wide(base_run: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """300 windows of three classes, half of them with sound, and findings."""
    url = str(tmp_path_factory.mktemp("wide") / "run")
    return audited(many(base_run, url, 300, CLASSES, part_windows=64, heard=0.5))


@pytest.fixture(scope="module")
def served(wide: str) -> Iterator[Browsing]:
    with browse(wide) as found:
        yield found


def details(served: Browsing, name: str = "000") -> list[dict[str, Any]]:
    """What the pages of a hundred windows tell."""
    text = ask(served.url, f"data/{name}.js").body.decode("ascii")
    found: list[dict[str, Any]] = json.loads(text[len(f'lmac("{name}",') : -len(");\n")])
    return found


def sound_of(served: Browsing, path: str) -> np.ndarray:
    answer = ask(served.url, path)
    assert (answer.status, answer.headers["Content-Type"]) == (200, "audio/flac")
    return np.asarray(soundfile.read(io.BytesIO(answer.body), dtype="float32")[0])


def contents(folder: Path) -> dict[str, tuple[int, float]]:
    return {str(one): (one.stat().st_size, one.stat().st_mtime) for one in folder.rglob("*")}


def test_sound_pictures_and_assets_are_those_of_the_report_and_nothing_is_written(wide: str, tmp_path: Path) -> None:
    run = shutil.copytree(wide, tmp_path / "run")
    report(run, tmp_path / "out", config=ReportConfig(pictured=30, sound_mb=1000))
    before = contents(run)
    with browse(run) as served:
        files = [one for name in ("sounds", "pictures", "assets") for one in (tmp_path / "out" / name).iterdir()]
        assert len(files) > 30 * 5
        for one in files:
            path = one.relative_to(tmp_path / "out").as_posix()
            assert ask(served.url, path).body == one.read_bytes(), path
    assert contents(run) == before


def test_where_all_windows_have_sound_every_byte_is_the_same(base_run: str, tmp_path: Path) -> None:
    run = audited(many(base_run, str(tmp_path / "run"), 130, CLASSES, part_windows=64))
    report(run, tmp_path / "out", config=ReportConfig(pictured=130, sound_mb=1000))
    with browse(run) as served:
        files = [one for one in (tmp_path / "out").rglob("*") if one.is_file()]
        assert len(files) > 130 * 5
        for one in files:
            path = one.relative_to(tmp_path / "out").as_posix()
            assert ask(served.url, path).body == one.read_bytes(), path
        assert ask(served.url).body == (tmp_path / "out" / "index.html").read_bytes()


def test_every_window_listed_is_seen_and_each_that_the_run_keeps_is_heard(served: Browsing, wide: str) -> None:
    kept = set(open_run(wide).table("listenables").to_table(columns=["window_id"])["window_id"].to_pylist())
    assert served.shown == 300
    assert 0 < served.heard == len(kept) < 300
    rows = [row for name in ("000", "001", "002") for row in details(served, name)]
    assert len(rows) == 300
    for row in rows:
        (explained,) = row["media"]["explanations"]
        assert set(explained["sounds"]) == ({"original", "kept", "removed"} if row["window_id"] in kept else set())
        assert ("picture" in row["media"]) is (row["window_id"] in kept)
    for row in rows[::40]:
        (explained,) = row["media"]["explanations"]
        assert ask(served.url, explained["mask"]).body.startswith(b"\x89PNG")
        if explained["sounds"]:
            assert ask(served.url, row["media"]["picture"]).body.startswith(b"\xff\xd8")
            whole, *sides = (sound_of(served, explained["sounds"][kind]) for kind in ("original", "kept", "removed"))
            np.testing.assert_allclose(whole, sides[0] + sides[1], atol=2e-3)


def test_a_run_without_sound_is_heard_from_its_input(tmp_path: Path) -> None:
    run = few(tmp_path, listenables=())
    with browse(run) as served:
        assert (served.heard, served.findings) == (0, None)
        assert b"This run keeps no sound" not in ask(served.url).body  # masks are there to be seen
        assert details(served)[0]["media"]["explanations"][0]["sounds"] == {}
    told: list[str] = []
    with browse(run, input_url=tmp_path / "few-in", told=told.append) as served:
        assert served.heard == 16
        rows = details(served)
        originals = [sound_of(served, row["media"]["original"]) for row in rows[:3]]
        wanted = [np.asarray(soundfile.read(one, dtype="float32")[0]) for one in (tmp_path / "few-in").iterdir()]
        for heard in originals:
            assert min(np.abs(heard - other).max() for other in wanted if len(other) == len(heard)) < 1e-3
        assert told == []
        for one in (tmp_path / "few-in").iterdir():
            one.unlink()
        assert ask(served.url, rows[9]["media"]["original"]).status in (500, 502)
        assert len(told) == 1


def test_masks_that_were_not_drawn_are_not_promised(tmp_path: Path) -> None:
    run = few(tmp_path, masks="share:0.5", listenables=("masked_out",))
    rows = open_run(run).table("masks").to_table(columns=["window_id", "mask"]).to_pylist()
    drawn = {row["window_id"] for row in rows if row["mask"] is not None}
    assert 0 < len(drawn) < 16
    with browse(run) as served:
        for row in details(served):
            (explained,) = row["media"]["explanations"]
            assert ("mask" in explained) is (row["window_id"] in drawn)
            assert set(explained["sounds"]) == {"removed"}
            assert "picture" not in row["media"]
            assert [ask(served.url, explained[name]).status for name in explained if name == "mask"] in ([200], [])


def test_another_input_than_the_runs_is_told(base_run: str, tmp_path: Path) -> None:
    run = few(tmp_path, listenables=())
    (tmp_path / "few-in").rename(tmp_path / "other")
    for number, one in enumerate(sorted((tmp_path / "other").iterdir())):
        one.rename(one.with_name(f"another {number}.wav"))
    told: list[str] = []
    with browse(run, input_url=tmp_path / "other", told=told.append) as served:
        path = details(served)[0]["media"]["original"]
        assert ask(served.url, path).status == 500
    (line,) = told
    assert "the input has no such recording: pass the --input of the run" in line


def test_a_link_for_its_owner_leads_there_until_the_end(wide: str) -> None:
    with browse(wide, config=BrowseConfig(windows=20)) as served:
        assert served.shown == 20
        link = served.link()
        assert stat.S_IMODE(link.stat().st_mode) == 0o600
        assert f"url={served.url}" in link.read_text("ascii")
    assert not link.exists()


def test_a_run_in_a_bucket_is_served_and_an_outage_is_told(base_run: str, s3_server: S3Server) -> None:
    shutil.copytree(base_run, s3_server.bucket_dir / "run", ignore=shutil.ignore_patterns("report"))
    before = contents(s3_server.bucket_dir)
    told: list[str] = []
    with browse(f"{s3_server.bucket_url}/run", told=told.append) as served:
        rows = details(served)
        first, second = (row["media"]["explanations"][0]["sounds"]["kept"] for row in rows[:2])
        assert len(sound_of(served, first))
        s3_server.stop()
        begun = time.monotonic()
        answer = ask(served.url, second)
        assert time.monotonic() - begun < 40
        assert (answer.status, told) == (502, [told[0]])
        assert told[0].startswith(f"{second}: reading ")
        for words in (answer.body.decode(), *told):
            assert "SECRETKEY1" not in words
            assert "ACCESSKEY1" not in words
        # What was read before is still there.
        assert len(sound_of(served, first))
        s3_server.start()
        assert len(sound_of(served, second))
    assert contents(s3_server.bucket_dir) == before


Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts the command; what still runs at the end is killed."""
    started = []

    def begin(*arguments: object) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", "from jobs.cli import main; main()", "browse", *map(str, arguments)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        started.append(process)
        return process

    yield begin
    for process in started:
        process.kill()
        process.communicate()


def address(process: subprocess.Popen[str]) -> str:
    """Read what it prints until it says where it is."""
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("open "):
            return line.removeprefix("open ").strip()
    raise AssertionError(process.communicate()[1])


@pytest.mark.parametrize("times", [1, 2])
def test_ctrl_c_ends_the_command_in_one_line(start: Start, wide: str, times: int) -> None:
    process = start(wide, "--windows", 20, "--no-open")
    assert ask(address(process)).status == 200
    for _ in range(times):
        process.send_signal(signal.SIGINT)
    printed, errors = process.communicate(timeout=60)
    assert (process.returncode, printed) == (130, "")
    assert errors == "interrupted: stopped serving\n"


def test_what_cannot_be_served_is_told_in_a_sentence(start: Start, wide: str, tmp_path: Path) -> None:
    unfinished = shutil.copytree(wide, tmp_path / "unfinished")
    (unfinished / "_manifest.json").unlink()
    serving = start(wide, "--windows", 20)
    port = address(serving).split(":")[2].split("/")[0]
    for arguments, words in (
        ([tmp_path / "nothing"], "it has no _run.json: give the output of `lmac explain`"),
        ([unfinished], "the run is not finished, resume it"),
        ([wide, "--port", port], f"port {port} of 127.0.0.1 is not available (address already in use)"),
        ([wide, "--input", tmp_path / "nothing"], "nothing"),
    ):
        process = start(*arguments)
        printed, errors = process.communicate(timeout=60)
        assert (process.returncode, printed) == (1, "")
        assert words in errors
        assert len(errors.splitlines()) == 1
    # The one that has the port serves on.
    assert ask(f"http://127.0.0.1:{port}/").status == 404
