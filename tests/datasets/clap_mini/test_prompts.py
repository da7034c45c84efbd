"""Prompts that a decoder is trained for, and mixtures to try it on."""

from __future__ import annotations

import csv
from pathlib import Path

import soundfile

from pipeline.datasets.clap_mini.mixtures import render_mixture
from pipeline.datasets.clap_mini.prompts import CLASS_PROMPTS, decoder_wordings, write_prompts
from pipeline.datasets.clap_mini.wordings import BACKGROUND_WORDS, EVENT_WORDS, TEMPLATES
from pipeline.datasets.clap_mini.write import write_mixtures
from pipeline.datasets.scenes import CLASSES
from pipeline.models.clap.prompts import parse_prompts


def test_no_wording_held_out_is_trained_for() -> None:
    wordings = [*CLASS_PROMPTS, *decoder_wordings()]
    for words in (*EVENT_WORDS.values(), *BACKGROUND_WORDS.values()):
        assert not set(words.held_out) & set(wordings)
    for template in TEMPLATES.held_out:
        before, after = template.split("{}")
        assert not any(text.startswith(before) and text.endswith(after) for text in wordings if before)
    assert len(set(wordings)) == len(wordings)


def test_the_files_are_prompts_as_the_commands_take_them(tmp_path: Path) -> None:
    write_prompts(tmp_path)
    assert parse_prompts(str(tmp_path / "prompts.txt")) == CLASS_PROMPTS
    assert len(CLASS_PROMPTS) == len(CLASSES)
    assert list(parse_prompts(str(tmp_path / "wordings.txt"))) == decoder_wordings()


def test_mixtures_on_disk_are_those_of_their_seed_and_named_by_what_is_in_them(tmp_path: Path) -> None:
    write_mixtures(tmp_path, 2, seed=5, sample_rate=16_000, duration_s=4.0)
    rows = list(csv.DictReader((tmp_path / "mixtures.csv").open()))
    assert [row["path"] for row in rows] == sorted(path.name for path in tmp_path.glob("*.flac"))
    for index, row in enumerate(rows):
        mixture = render_mixture(5, index, sample_rate=16_000, duration_s=4.0)
        kinds = [event.kind for event in mixture.contents.events]
        assert row["events"] == "; ".join(kinds)
        assert row["background"] == mixture.contents.background
        sound, rate = soundfile.read(tmp_path / row["path"], dtype="float32")
        assert rate == 16_000
        assert abs(sound - mixture.waveform).max() <= 1 / 32768
