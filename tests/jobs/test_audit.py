"""`lmac audit`: what it prints, and how it ends."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from jobs.cli import app
from jobs.messages import FAILED, FOUND
from tests.audit.make import made_run, window


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Twenty recordings, five of them clipped, one of which is named like markup."""
    rows = [window(f"{number}.wav", clipped=0.01 * (number < 5), label_true=["[red]x"]) for number in range(20)]
    return made_run(tmp_path_factory.mktemp("audit") / "run", rows)


def lmac(*arguments: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, ["audit", *arguments])
    return done.exit_code, done.stdout, done.stderr


def test_findings_are_printed_for_a_hundred_columns(run: str) -> None:
    code, out, _ = lmac(run)
    assert code == 0
    table = out.partition("typical:")[0].splitlines()
    assert 80 < max(len(line.rstrip()) for line in table) <= 100
    assert "5 recordings clipped: peaks are cut off" in out
    assert "0.25 [0.11, 0.47]" in out
    assert "1 finding in 20 recordings" in out
    assert "typical: the members include recordings to listen to from 1 class" in out
    assert "label_error: labels are judged against each other" in out
    assert out.rstrip().endswith(f"{run}/audit")


@pytest.mark.parametrize(
    ("bounds", "code"),
    [
        (["broken_audio>0.24"], FOUND),
        (["broken_audio>0.25"], 0),
        (["broken_audio>4"], FOUND),
        (["broken_audio>5"], 0),
        (["broken_audio>0.99"], 0),
        (["label_error>0"], FAILED),
        (["label_error>0", "broken_audio > .1"], FOUND),
    ],
)
def test_what_is_too_much_has_an_exit_code_of_its_own(run: str, bounds: list[str], code: int) -> None:
    options = [part for bound in bounds for part in ("--fail-on", bound)]
    ended, out, err = lmac(run, *options)
    assert ended == code
    assert ("5 of 20 recordings (25.0%)" in err) == (code == FOUND)
    # A condition on what nothing could be said about is not met.
    unjudged = "--fail-on label_error>0: label_error could judge none of 20 recordings: see its notes" in err
    assert unjudged == ("label_error>0" in bounds)
    assert "clipped" in out  # it is printed all the same


@pytest.mark.parametrize("bound", ["broken>0.1", "broken_audio", "broken_audio<0.1", "broken_audio>1.0", "x>y"])
def test_a_bound_that_cannot_be_meant_is_refused_before_anything_is_read(bound: str) -> None:
    code, _, err = lmac("no-such-run", "--fail-on", bound)
    assert code == FAILED
    assert bound in err
    assert "no-such-run" not in err


def test_a_bound_on_what_is_not_asked_about_is_refused(run: str) -> None:
    code, _, err = lmac(run, "--kinds", "duplicate,broken_audio", "--fail-on", "label_error>0.05")
    assert code == FAILED
    assert "label_error is not asked about" in err
    code, _, err = lmac(run, "--fail-on", "shortcut>0")
    assert code == FAILED
    assert "add --confirm" in err
    assert lmac(run, "--kinds", "duplicate, broken_audio", "--fail-on", "broken_audio>0.9")[0] == 0


def test_as_json_it_is_whole(run: str) -> None:
    code, out, _ = lmac(run, "--json", "--kinds", "broken_audio", "--seed", "3")
    told = json.loads(out)
    assert code == 0
    assert told["asked"] == ["broken_audio"]
    assert told["shares"] == {"broken_audio": 0.25}
    (one,) = told["findings"]
    assert (one["kind"], one["n"], len(one["members"]), one["effect"]["value"]) == ("broken_audio", 5, 5, 0.25)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--kinds", "broken"], "kinds: 'broken' is not known: choose from label_error, "),
        (["--kinds", ","], "nothing is asked"),
        (["--split", "fold"], "no recording has a column 'fold'"),
        (["--confirm"], "pass the run's input, --input"),
        (["--reviewed", "no-such.csv"], "no-such.csv: it does not exist: check its path"),
        (["--labels", "no-such.csv"], "no-such.csv: it does not exist"),
    ],
)
def test_what_cannot_be_asked_is_said_in_words(run: str, options: list[str], message: str) -> None:
    code, _, err = lmac(run, *options)
    assert code == FAILED
    assert message in err
    assert "Traceback" not in err


def test_a_run_that_is_not_there_is_said_in_words(tmp_path: Path) -> None:
    code, _, err = lmac(str(tmp_path))
    assert code == FAILED
    assert "give the output of `lmac explain`" in err
