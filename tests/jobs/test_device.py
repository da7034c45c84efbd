"""`--device`: every command that computes takes it, and refuses a GPU where there is none before it reads anything."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.jobs.test_cli import commands, help_of, run

COMPUTING = [
    ("explain",),
    ("evaluate",),
    ("layers",),
    ("verify",),
    ("check", "classifier"),
    ("train", "classifier"),
    ("train", "decoder"),
    ("train", "head"),
    ("train", "clap-mini"),
]


def test_every_command_that_computes_takes_a_device() -> None:
    found = {names for names, _ in commands() if "--device " in help_of(*names)}
    assert found == set(COMPUTING)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
@pytest.mark.parametrize(
    "words",
    [
        ["train", "classifier", "INPUT", "OUT"],
        ["train", "decoder", "INPUT", "OUT", "--classifier", "esc10"],
        ["train", "decoder", "INPUT", "OUT", "--classifier", "clap-mini", "--objective", "lmac-zs"],
        ["train", "head", "INPUT", "OUT", "--classifier", "clap:clap-mini"],
        ["train", "clap-mini", "OUT"],
        ["evaluate", "INPUT", "--out", "OUT", "--explainer", "scenes"],
        ["layers", "INPUT", "--explainer", "scenes", "--out", "OUT"],
        ["check", "classifier", "clap:clap-mini"],
    ],
    ids=lambda words: " ".join(words[:2]),
)
def test_a_gpu_where_there_is_none_is_refused_before_anything_is_read(words: list[str], tmp_path: Path) -> None:
    places = {"INPUT": str(tmp_path / "no-audio-here"), "OUT": str(tmp_path / "out")}
    code, said = run(*(places.get(word, word) for word in words), "--device", "cuda")
    assert code == 1
    assert said == "error: device must be auto, cpu or a GPU that torch can use here, got 'cuda'"
    assert not (tmp_path / "out").exists()
