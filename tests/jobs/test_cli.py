"""`lmac schema` and `lmac explain` from the command line: what they print, and how they refuse."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from jobs.cli import app
from jobs.explain import print_summary
from jobs.messages import console
from pipeline.runs.output import RunOutput
from schemas.records import FileRecord, Manifest, Sums, TargetSums
from schemas.tables import SCHEMA_VERSION, TABLES
from tests.conftest import TinyRun, printed_by
from tests.flow.make import short_clips, write_folder


def run(*arguments: object) -> tuple[int, str]:
    """Exit code and everything printed, in one line."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, " ".join(result.output.split())


def commands(group: Any = get_command(app), *names: str) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Each command by the words that call it."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, *names, name)
        else:
            yield (*names, name), command


def help_of(*names: str) -> str:
    return CliRunner().invoke(app, [*names, "--help"], env={"COLUMNS": "300"}).output


def test_help_shows_the_defaults() -> None:
    assert "[default: masked_in]" in help_of("explain")
    wanted = 0
    for names, command in commands():
        for default in re.findall(r"\[default: .*?\]", " ".join(option.help or "" for option in command.params)):
            assert default in help_of(*names), names
            wanted += 1
    assert wanted > 15


def test_every_command_names_its_arguments_alike() -> None:
    for names, command in commands():
        shown = [argument.metavar for argument in command.params if argument.param_type_name == "argument"]
        assert set(shown) <= {"INPUT", "OUTPUT", "OUT", "RUN", "TABLE", "clap:WHERE"}, names


def test_every_device_may_be_left_to_the_machine() -> None:
    shown = [help_of(*names).partition("--device ")[2].split() for names, _ in commands()]
    assert {words[0] for words in shown if words} == {"<auto|cpu|cuda>"}


@pytest.fixture
def source(tmp_path: Path) -> str:
    return write_folder(tmp_path / "in", short_clips(2))


def test_schema_shows_every_column_of_every_table() -> None:
    code, said = run("schema")
    assert code == 0
    assert all(f"{name}, version {SCHEMA_VERSION}: " in said for name in TABLES)
    assert all(field.name in said for schema in TABLES.values() for field in schema)


def test_schema_as_json_is_what_the_files_have() -> None:
    result = CliRunner().invoke(app, ["schema", "--json"])
    tables = json.loads(result.stdout)
    assert {name: [row["name"] for row in found] for name, found in tables.items()} == {
        name: schema.names for name, schema in TABLES.items()
    }
    assert all(row["description"] for found in tables.values() for row in found)
    (duration,) = (row for row in tables["predictions"] if row["name"] == "duration_s")
    assert (duration["type"], duration["unit"], duration["nullable"]) == ("double", "s", False)


def test_a_demo_into_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    for more in ((), ("--zero-shot",)):
        code, said = run("demo", "--out", tmp_path / "file", *more)
        assert code == 1
        assert "what should be a folder is a file" in said or "Not a directory" in said
        assert "Traceback" not in said


def test_schema_of_one_table_and_of_none() -> None:
    assert list(json.loads(CliRunner().invoke(app, ["schema", "masks", "--json"]).stdout)) == ["masks"]
    code, said = run("schema", "nothing")
    assert (code, said) == (1, f"error: there is no table 'nothing', only: {', '.join(TABLES)}")


def test_an_input_that_does_not_exist(tiny_explainer: str, tmp_path: Path) -> None:
    code, said = run("explain", tmp_path / "nowhere", tmp_path / "out", "--explainer", tiny_explainer)
    assert (code, said) == (
        1,
        f"error: {tmp_path / 'nowhere'}: it does not exist: check its path",
    )


def test_an_empty_input(tiny_explainer: str, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    code, said = run("explain", tmp_path / "in", tmp_path / "out", "--explainer", tiny_explainer)
    assert code == 1
    assert f"error: {tmp_path / 'in'}: there is nothing in it to listen to (it is empty); expected audio files" in said


def test_an_explainer_that_does_not_exist(source: str, tmp_path: Path) -> None:
    code, said = run("explain", source, tmp_path / "out", "--explainer", "esc11")
    assert code == 1
    assert "error: no explainer at 'esc11' (config.json is missing)" in said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("content: {mask: sharp}", "content.mask: Input should be 'soft' or 'binary', got 'sharp'"),
        ("content: {masks: soft}", "content.masks: expected all, none, share:P with P between 0 and 1, got 'soft'"),
        ("content: {explainr: esc10}", "content.explainr: there is no such setting; did you mean explainer?"),
        ("cluster: {actors: 0}", "cluster.actors: Input should be greater than or equal to 1, got 0"),
        ("just words", "must hold settings by name, got a str"),
        ("content: [unclosed", "is not YAML"),
    ],
)
def test_a_config_that_makes_no_sense(source: str, tmp_path: Path, text: str, said: str) -> None:
    config = tmp_path / "run.yaml"
    config.write_text(text)
    code, output = run("explain", source, tmp_path / "out", "--config", config)
    assert code == 1
    assert output.startswith(f"error: {config}")
    assert said in output


def test_a_config_that_is_not_there(source: str, tmp_path: Path) -> None:
    code, said = run("explain", source, tmp_path / "out", "--config", tmp_path / "run.yaml")
    assert (code, said) == (1, f"error: {tmp_path / 'run.yaml'} cannot be read: No such file or directory")


@pytest.mark.parametrize(
    ("targets", "said"),
    [
        (
            "truth.csv",
            "error: targets: 'truth.csv' is a table, and a table of labels ",
        ),
        ("topk:0", "targets: topk: takes a whole number from 1 on, as in topk:3, got '0'"),
        ("fish", "error: targets: 'fish': no class of the explainer 'esc10', which has baby_cry, chainsaw, "),
    ],
)
def test_targets_that_make_no_sense(source: str, tmp_path: Path, targets: str, said: str) -> None:
    code, output = run("explain", source, tmp_path / "out", "--targets", targets)
    assert code == 1
    assert said in output


def test_a_gpu_where_there_is_none(source: str, tiny_explainer: str, tmp_path: Path, no_gpu: None) -> None:
    code, said = run("explain", source, tmp_path / "out", "--explainer", tiny_explainer, "--device", "cuda")
    assert code == 1
    assert "error: --device cuda: Ray sees no GPU; use --device cpu" in said


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)


def test_a_cluster_that_is_not_there(source: str, tiny_explainer: str, tmp_path: Path) -> None:
    options = ["--explainer", tiny_explainer, "--address", "127.0.0.1:1"]
    code, said = run("explain", source, tmp_path / "out", *options)
    assert code == 1
    assert "error: no Ray cluster could be joined at '127.0.0.1:1'" in said


@pytest.mark.slow
@pytest.mark.ray
def test_without_a_terminal_progress_is_plain_lines_and_the_tables_are_those_made_without_ray(
    tiny_run: TinyRun, tmp_path: Path
) -> None:
    command = [str(tmp_path / "out") if word == tiny_run.output else word for word in tiny_run.command]
    stdout = printed_by(command)
    lines = stdout.splitlines()
    assert lines[:2] == ["input: 8 loose files in 3 shards", "1 actor on 1 CPU core"]
    assert any(re.fullmatch(r"100% 8 recordings, \d+\.\d recordings/s, 3 errors", line) for line in lines)
    assert "5 recordings explained in 10 windows; 3 recordings could not be used" in lines
    assert lines[-1] == f"written to {tmp_path / 'out'}"
    assert "\x1b" not in stdout
    assert "\r" not in stdout
    made, here = (RunOutput(str(place)).files() for place in (tmp_path / "out", tiny_run.output))
    assert [(file.path, file.sha256) for file in made] == [(file.path, file.sha256) for file in here]


@pytest.mark.slow
def test_strict_is_an_exit_code_of_its_own(tiny_run: TinyRun) -> None:
    assert run(*tiny_run.command)[0] == 0
    code, said = run(*tiny_run.command, "--strict")
    assert code == 3
    assert "everything is committed already" in said
    assert "truncated: 1 (see " in said


@pytest.mark.slow
def test_a_conflict_names_the_difference(tiny_run: TinyRun) -> None:
    code, said = run(*tiny_run.command, "--mask", "binary")
    assert code == 1
    assert "error: the output already holds a run with other settings: mask: soft there, binary here" in said


def test_labels_with_brackets_are_printed_as_they_are() -> None:
    sums = Sums(targets={"[/bold] rain": TargetSums(windows=1, p=0.5)}, reasons={})
    files = FileRecord(path="_manifest.parquet", bytes=1, sha256="d")
    manifest = Manifest(complete=True, recordings=1, windows=1, errors=0, parts=1, tables={}, sums=sums, files=files)
    with console.capture() as captured:
        print_summary("out", manifest)
    assert "[/bold] rain" in captured.get()
