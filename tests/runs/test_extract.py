"""FLAC files out of a run: the sounds of the rows asked for, under names that can be read."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import soundfile

from pipeline.runs.extract import TABLE, ExtractError, extract
from pipeline.runs.run import Run, open_run
from tests.conftest import TinyRun
from tests.flow.make import rows
from tests.jobs.test_cli import run as lmac

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def opened(tiny_run: TinyRun) -> Run:
    return open_run(tiny_run.output)


def listed(folder: Path) -> list[dict[str, str]]:
    with (folder / TABLE).open(newline="") as file:
        return list(csv.DictReader(file))


def test_all_sides_of_all_windows(opened: Run, tmp_path: Path) -> None:
    files = extract(opened, tmp_path / "out", kinds=("masked_in", "masked_out", "original"))
    assert len(files) == len({one.path for one in files}) == 30
    assert [row["file"] for row in listed(tmp_path / "out")] == [one.path.name for one in files]
    for one in files:
        assert one.path.is_file()
        assert one.path.parent == tmp_path / "out"
        if one.kind != "original":
            sound = opened.listenable(one.row["window_id"], one.row["target"], one.kind)
            assert one.path.read_bytes() == sound.flac


def test_the_original_is_the_sum_of_both_sides_and_the_same_read_from_the_input(
    opened: Run, tiny_run: TinyRun, tmp_path: Path
) -> None:
    summed = extract(opened, tmp_path / "summed", kinds=("original",))
    again = extract(opened, tmp_path / "again", kinds=("original",), input_url=tiny_run.source)
    assert [one.path.name for one in summed] == [one.path.name for one in again]
    for one, other in zip(summed, again, strict=True):
        first, rate = soundfile.read(one.path, dtype="float32")
        second, _ = soundfile.read(other.path, dtype="float32")
        assert rate == opened.record.explainer["sample_rate"]
        assert np.abs(second).max() > 0.01
        np.testing.assert_allclose(first, second, atol=2e-3)


def test_a_condition_and_a_limit(opened: Run, tiny_run: TinyRun, tmp_path: Path) -> None:
    scores = rows(tiny_run.output, "faithfulness")
    middle = float(np.median([row["ff"] for row in scores]))
    files = extract(opened, tmp_path, where=f"ff > {middle}")
    assert {one.row["window_id"] for one in files} == {row["window_id"] for row in scores if row["ff"] > middle}
    assert len(extract(opened, tmp_path, where=f"ff > {middle}", limit=2)) == 2


def test_what_cannot_be_asked(opened: Run, tmp_path: Path) -> None:
    with pytest.raises(ExtractError, match="the condition 'nonsense = 3' cannot be asked of the view explanations"):
        extract(opened, tmp_path, where="nonsense = 3")
    with pytest.raises(ExtractError, match=r"no explanation of .* fits 'ff > 9'"):
        extract(opened, tmp_path, where="ff > 9")
    with pytest.raises(ExtractError, match="no sound of the kind 'left': choose from masked_in, masked_out, original"):
        extract(opened, tmp_path, kinds=("left",))


def test_a_run_of_one_side_says_what_it_lacks(two_labels_run: TinyRun, tmp_path: Path) -> None:
    opened = open_run(two_labels_run.output)
    with pytest.raises(ExtractError, match="made with --listenables masked_in and --listen all"):
        extract(opened, tmp_path, kinds=("masked_out",))
    with pytest.raises(ExtractError, match="is not the sum of what the run has written: give --input"):
        extract(opened, tmp_path, kinds=("original",))
    files = extract(opened, tmp_path, kinds=("original",), input_url=two_labels_run.source, limit=2)
    assert len(files) == 2


def test_the_command(tiny_run: TinyRun, tmp_path: Path) -> None:
    code, said = lmac("extract", tiny_run.output, tmp_path / "out", "--limit", "3", "--kind", "masked_out")
    assert (code, said) == (0, f"3 FLAC files and extracted.csv in {tmp_path / 'out'}")
    assert len(list((tmp_path / "out").glob("000?-*-masked_out.flac"))) == 3
    code, said = lmac("extract", tiny_run.output, tmp_path / "out", "--where", "ff >")
    assert code == 1
    assert "error: the condition 'ff >' cannot be asked" in said
