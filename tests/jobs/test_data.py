"""`lmac data` from the command line."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from jobs import data
from pipeline.datasets.esc10 import Esc10Error, Esc10Summary


def run(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(data.data_app, [str(a) for a in arguments])
    return result.exit_code, " ".join(result.output.split())


def test_scenes_writes_a_dataset_and_says_what(tmp_path: Path) -> None:
    code, said = run("scenes", tmp_path, "--count", 11, "--duration", 0.6, "--shard-size", 6)
    assert code == 0
    assert "11 scenes of 0.6 s in 2 file(s)" in said
    assert "siren 1" in said
    assert {p.name for p in tmp_path.iterdir()} == {"scenes-000000.tar", "scenes-000001.tar"}


@pytest.mark.parametrize(("format", "file"), [("parquet", "scenes-000000.parquet"), ("flac", "scenes.csv")])
def test_scenes_in_other_formats(tmp_path: Path, format: str, file: str) -> None:
    assert run("scenes", tmp_path, "--count", 1, "--duration", 0.6, "--format", format)[0] == 0
    assert (tmp_path / file).is_file()


def test_scenes_refuses_in_one_line(tmp_path: Path) -> None:
    code, said = run("scenes", tmp_path, "--snr-min", 30)
    assert code == 1
    assert said == "error: snr_db must be (low, high) with low <= high, got (30.0, 20.0)"


def test_esc10_downloads_unless_given_a_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data, "download_esc10", lambda directory, on_recording: Esc10Summary(directory, 400, 7))
    code, said = run("esc10", tmp_path)
    assert code == 0
    assert "400 recordings, 7 of them already there" in said
    code, said = run("esc10", tmp_path, "--from", tmp_path)
    assert code == 1
    assert f"error: {tmp_path} holds no meta/esc50.csv" in said


def test_esc10_passes_on_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(directory: Path, on_recording: object) -> Esc10Summary:
        raise Esc10Error("could not fetch it; fetch it by hand")

    monkeypatch.setattr(data, "download_esc10", offline)
    code, said = run("esc10", tmp_path)
    assert code == 1
    assert "error: could not fetch it; fetch it by hand" in said
