"""Runs over recordings that are heard in part, and over every channel of them."""

from __future__ import annotations

import io
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from pipeline.audio.decode import collect, stream_audio
from pipeline.runs.original import read_originals
from pipeline.runs.output import RunOutput
from pipeline.runs.run import open_run
from pipeline.runs.verify.verify import verify
from tests.flow.make import RATE, content_of, encoded, rows, sound, write_folder
from tests.runs.verify.make import run_here, told

pytestmark = pytest.mark.slow

FILES = {
    "good.flac": encoded(sound(2.3, seed=1), RATE, "FLAC"),
    "cut.wav": encoded(sound(4.0, channels=2, seed=2))[:90_000],
    "stereo.wav": encoded(sound(2.6, 22_050, 2, seed=3), 22_050),
    "text.wav": b"no audio at all " * 99,
}


@pytest.mark.parametrize("channel", ["mix", "each", "1"])
def test_what_is_heard_in_part_is_in_both_tables_and_verify_agrees(
    tiny_explainer: str, tmp_path: Path, channel: str
) -> None:
    source = write_folder(tmp_path / "in", FILES)
    output = run_here(source, str(tmp_path / "out"), content_of(tiny_explainer, channel=channel, part_windows=3))
    found = verify(output, source)
    assert not found.findings, told(found)
    predictions, errors = rows(output, "predictions"), rows(output, "errors")
    channels = {"cut.wav": 2 if channel == "each" else 1, "stereo.wav": 2 if channel == "each" else 1, "good.flac": 1}
    recordings = {(row["key"], row["clip_id"]) for row in predictions}
    assert Counter(key for key, _ in recordings) == channels
    assert {row["key"] for row in predictions if row["damaged"]} == {"cut.wav"}
    partly = [row for row in errors if row["heard_s"]]
    assert {(row["key"], row["clip_id"]) for row in partly} == {one for one in recordings if one[0] == "cut.wav"}
    assert {(row["reason"], round(row["heard_s"], 1), row["stated_s"]) for row in partly} == {("truncated", 1.4, 4.0)}
    assert [(row["key"], row["heard_s"]) for row in errors if not row["heard_s"]] == [("text.wav", 0.0)]
    manifest = RunOutput(output).read_manifest()
    assert (manifest.recordings, manifest.partly) == (sum(channels.values()) + 1, channels["cut.wav"])
    expected = {"each": {1, 2}, "1": {1}, "mix": {None}}[channel]
    assert {row["channel"] for row in predictions} == expected
    # Read again from the input, they are the samples of their channel.
    originals = dict(read_originals(open_run(output), [row["window_id"] for row in predictions], source))
    for row in predictions:
        file, of = io.BytesIO(FILES[row["key"]]), str(row["channel"] or "mix")
        whole = collect(stream_audio(file, row["key"], RATE, channel=of)).waveform
        start = round(row["start_s"] * RATE)
        window = whole[start : start + round(row["duration_s"] * RATE)]
        np.testing.assert_array_equal(originals[row["window_id"]], window)
        assert np.abs(window).max() > 0.05


def test_a_damaged_recording_that_is_refused_is_in_errors_alone(tiny_explainer: str, tmp_path: Path) -> None:
    source = write_folder(tmp_path / "in", FILES)
    output = run_here(source, str(tmp_path / "out"), content_of(tiny_explainer, damaged="refuse"))
    found = verify(output, source)
    assert not found.findings, told(found)
    assert {row["key"] for row in rows(output, "predictions")} == {"good.flac", "stereo.wav"}
    assert {(row["key"], row["reason"]) for row in rows(output, "errors")} == {
        ("cut.wav", "truncated"),
        ("text.wav", "not_audio"),
    }
