"""`lmac check classifier`: a CLAP held against the library that its checkpoint was made for."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from benchmarks.clap_originals import randomised, save_laion
from pipeline.models.clap import huggingface, laion
from pipeline.models.clap.originals import LaionAudio
from pipeline.models.clap.parity import Parity
from tests.audio.make import encode, tone
from tests.jobs.test_cli import run
from tests.models.clap.make import write_small

pytestmark = pytest.mark.slow

CHANGED = 1.01


@pytest.fixture
def clap(tmp_path: Path) -> Path:
    """A small CLAP, as a directory of a Hugging Face ClapModel."""
    folder = tmp_path / "clap"
    folder.mkdir()
    write_small(folder)
    return folder


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*given: Any) -> None:
        raise AssertionError(f"the network was used: {given}")

    monkeypatch.setattr(socket.socket, "connect", refused)
    monkeypatch.setattr(socket, "getaddrinfo", refused)


def change_a_weight(monkeypatch: pytest.MonkeyPatch, module: Any) -> None:
    """Let ours read one row of one weight a hundredth too large."""
    read = module.audio_weights

    def changed(*given: Any) -> dict[str, Tensor]:
        weights = dict(read(*given))
        name = "audio_projection.linear2.weight"
        weights[name] = torch.cat([CHANGED * weights[name][:1], weights[name][1:]])
        return weights

    monkeypatch.setattr(module, "audio_weights", changed)


@pytest.mark.usefixtures("no_network")
def test_a_clap_that_agrees_with_transformers_passes(clap: Path) -> None:
    code, said = run("check", "classifier", f"clap:{clap}")
    assert code == 0, said
    assert "Our embeddings beside those of transformers" in said
    assert said.count("yes") == 2
    assert "noise" in said
    assert "tones" in said


def test_one_weight_changed_a_little_is_found(clap: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    change_a_weight(monkeypatch, huggingface)
    code, said = run("check", "classifier", f"clap:{clap}")
    assert code == 1
    assert "noise, tones: our embeddings differ from those of transformers by more than 0.0001" in said
    assert "torch " in said
    code, said = run("check", "classifier", f"clap:{clap}", "--bound", "0.1")
    assert code == 0, said


def test_clips_of_any_length_and_rate_are_compared(clap: Path, tmp_path: Path) -> None:
    folder = tmp_path / "clips"
    folder.mkdir()
    for name, seconds, rate in (("a", 1.0, 16_000), ("b", 10.0, 48_000), ("c", 11.0, 22_050), ("d", 2.0, 8_000)):
        (folder / f"{name}.wav").write_bytes(encode(tone(440, seconds, rate), rate))
    (folder / "b2.wav").write_bytes(b"no audio" * 9)
    code, said = run("check", "classifier", f"clap:{clap}", "--clips", folder, "--limit", "3")
    assert code == 0, said
    assert "skipped b2.wav: b2.wav: no decoder knows this format" in said
    assert said.count("yes") == 3
    assert said.count("unchecked") == 1  # a.wav alone: the others fill a clip
    (folder / "a.wav").unlink()
    code, said = run("check", "classifier", f"clap:{clap}", "--clips", folder / "b2.wav")
    assert code == 1
    assert "none of its recordings could be decoded" in said


def test_what_is_no_clap_is_refused_with_what_to_do(tmp_path: Path) -> None:
    code, said = run("check", "classifier", "esc10")
    assert code == 1
    assert "esc10: only a CLAP has an original library to be checked against: give clap:WHERE" in said
    code, said = run("check", "classifier", f"clap:{tmp_path}")
    assert code == 1
    assert "is no directory of a Hugging Face ClapModel" in said


@pytest.mark.usefixtures("no_network")
def test_a_checkpoint_of_laion_is_held_against_laion_clap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_laion(randomised(LaionAudio("tiny", fusion=False)), tmp_path / "laion.pt")  # type: ignore[arg-type]
    (tmp_path / "dog.wav").write_bytes(encode(tone(700, 5.0, 44_100), 44_100))
    command = ["check", "classifier", f"clap:{tmp_path / 'laion.pt'}", "--clips", tmp_path / "dog.wav"]
    code, said = run(*command)
    assert code == 0, said
    assert "Our embeddings beside those of laion-clap" in said
    change_a_weight(monkeypatch, laion)
    code, said = run(*command)
    assert code == 1
    assert "differ from those of laion-clap" in said


def test_what_is_not_a_number_is_beyond_any_bound() -> None:
    parity = Parity("noise", n=1, cosine=np.nan, difference=np.nan, spread=0.0, seconds=0.0, whole=True)
    assert not parity.within(1.0)
