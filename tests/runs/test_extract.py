"""FLAC files out of a run: the sounds of the rows asked for, under names that can be read."""

from __future__ import annotations

import csv
import shutil
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import soundfile

from jobs.demo import _clear
from pipeline.runs.extract import TABLE, ExtractError, extract
from pipeline.runs.run import Run, open_run
from pipeline.storage.errors import InputError
from tests.conftest import TinyRun
from tests.flow.make import content_of, encoded, explain_here, rows, sound, write_folder
from tests.jobs.test_cli import run as lmac
from tests.runs.verify.make import run_here

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def opened(tiny_run: TinyRun) -> Run:
    return open_run(tiny_run.output)


def listed(folder: Path) -> list[dict[str, str]]:
    with (folder / TABLE).open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def shared(tiny_run: TinyRun, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run of which some windows were drawn, and others not."""
    content = content_of(tiny_run.explainer, listen="share:0.3")
    return open_run(run_here(tiny_run.source, str(tmp_path_factory.mktemp("shared") / "run"), content))


def test_all_sides_of_all_windows(opened: Run, tmp_path: Path) -> None:
    made = extract(opened, str(tmp_path / "out"), kinds=("masked_in", "masked_out", "original"))
    assert (made.fitting, made.lacking) == (10, {"masked_in": 0, "masked_out": 0, "original": 0})
    assert len(made.files) == len({one.path for one in made.files}) == 30
    assert [row["file"] for row in listed(tmp_path / "out")] == [one.path.name for one in made.files]
    for one in made.files:
        assert one.path.is_file()
        assert one.path.parent == tmp_path / "out"
        if one.kind != "original":
            sound = opened.listenable(one.row["window_id"], one.row["target"], one.kind)
            assert one.path.read_bytes() == sound.flac
    assert any("-läuft_日本-1s-" in one.path.name for one in made.files)


def test_the_original_is_the_sum_of_both_sides_and_the_same_read_from_the_input(
    opened: Run, tiny_run: TinyRun, tmp_path: Path
) -> None:
    summed = extract(opened, tmp_path / "summed", kinds=("original",)).files
    again = extract(opened, tmp_path / "again", kinds=("original",), input_url=Path(tiny_run.source)).files
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
    made = extract(opened, tmp_path / "all", where=f"ff > {middle}")
    fit = sorted(row["window_id"] for row in scores if row["ff"] > middle)
    assert [one.row["window_id"] for one in made.files] == fit
    # A comment ends with the condition, and `or` does not reach beyond it.
    for number, where in enumerate((f"ff > {middle} --", f"false OR ff > {middle}")):
        made = extract(opened, tmp_path / str(number), where=where, limit=2)
        assert [one.row["window_id"] for one in made.files] == fit[:2]
        assert made.fitting == len(fit)


def test_rows_without_a_sound_are_counted_and_leave_no_gap(shared: Run, tiny_run: TinyRun, tmp_path: Path) -> None:
    drawn = sorted({row["window_id"] for row in rows(shared.url, "listenables")})
    windows = sorted(row["window_id"] for row in rows(shared.url, "predictions"))
    # The first windows of all have no sound, and others lie between those that have.
    assert drawn[0] != windows[0]
    for kind in ("masked_in", "original"):
        made = extract(shared, tmp_path / kind, kinds=(kind,))
        assert [one.row["window_id"] for one in made.files] == drawn
        assert [int(one.path.name[:4]) for one in made.files] == list(range(1, len(drawn) + 1))
        assert (made.fitting, made.lacking) == (10, {kind: 10 - len(drawn)})
    one = extract(shared, tmp_path / "one", limit=1).files
    assert [file.row["window_id"] for file in one] == drawn[:1]
    again = extract(shared, tmp_path / "again", kinds=("masked_in", "original"), input_url=tiny_run.source, limit=10)
    assert (len(again.files), again.lacking) == (10 + len(drawn), {"masked_in": 10 - len(drawn), "original": 0})
    code, said = lmac("extract", shared.url, tmp_path / "command", "--limit", "1")
    assert code == 0
    assert said.endswith(f"explanations that fit: 10, {10 - len(drawn)} of them without masked_in")


def test_memory_does_not_grow_with_the_sounds(tiny_run: TinyRun, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).uniform(-0.9, 0.9, 150 * 16_000)
    source = write_folder(tmp_path / "input", {"noise.wav": encoded(noise)})
    opened = open_run(run_here(source, str(tmp_path / "run"), content_of(tiny_run.explainer, part_windows=50)))
    extract(opened, tmp_path / "first", limit=1)
    tracemalloc.start()
    made = extract(opened, tmp_path / "out", kinds=("masked_in", "masked_out", "original"))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(made.files) == 450
    assert peak < sum(one.path.stat().st_size for one in made.files) / 2


def test_a_folder_that_holds_something_is_refused(opened: Run, tmp_path: Path) -> None:
    extract(opened, tmp_path, limit=2)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(ExtractError, match=f"{tmp_path} is not empty: choose another folder, or delete it"):
        extract(opened, tmp_path, limit=1)
    assert sorted(tmp_path.iterdir()) == before
    # The demo deletes what it made itself, and nothing else.
    (tmp_path / "mine.flac").write_bytes(b"x")
    _clear(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.flac"]


def test_what_cannot_be_extracted(opened: Run, tiny_run: TinyRun, tmp_path: Path) -> None:
    with pytest.raises(ExtractError, match="the condition 'nonsense = 3' is not one over the view explanations"):
        extract(opened, tmp_path, where="nonsense = 3")
    with pytest.raises(ExtractError, match=f"no explanation of {opened.url} fits 'ff > 9'"):
        extract(opened, tmp_path, where="ff > 9")
    with pytest.raises(ExtractError, match="no sound of the kind 'left': choose from masked_in, masked_out, original"):
        extract(opened, tmp_path, kinds=("left",))
    # Nothing is left of what was written before the recordings turn out to be missing.
    part = shutil.copytree(tiny_run.source, tmp_path / "part", ignore=shutil.ignore_patterns("cat"))
    with pytest.raises(ExtractError, match=r"2 recordings of the run are not in .*, 'cat/läuft 日本.wav' for one"):
        extract(opened, tmp_path / "out", kinds=("original",), input_url=part)
    assert not list((tmp_path / "out").iterdir())
    # Nor where a recording has become something else.
    other = Path(shutil.copytree(tiny_run.source, tmp_path / "other"))
    (other / "cat" / "läuft 日本.wav").write_bytes(b"no sound")
    with pytest.raises(InputError, match=r"läuft 日本.wav: it cannot be decoded any more .*: give the input as it was"):
        extract(opened, tmp_path / "out", kinds=("original",), input_url=other)
    assert not list((tmp_path / "out").iterdir())


def test_a_run_of_one_side_says_what_it_lacks(two_labels_run: TinyRun, tmp_path: Path) -> None:
    opened = open_run(two_labels_run.output)
    with pytest.raises(ExtractError, match=r"none of the 8 .* with --listenables masked_in and --listen all$"):
        extract(opened, tmp_path, kinds=("masked_out",))
    with pytest.raises(ExtractError, match="originals are read from the run's input where --input gives it"):
        extract(opened, tmp_path, kinds=("original",))
    made = extract(opened, tmp_path, kinds=("original",), input_url=two_labels_run.source, limit=2)
    assert len(made.files) == 2


def test_originals_of_segments_that_a_table_of_labels_made(tiny_run: TinyRun, tmp_path: Path) -> None:
    whole = sound(4.0, seed=3)
    write_folder(tmp_path / "in", {"a.wav": encoded(whole)})
    labels = tmp_path / "labels.csv"
    labels.write_text("path,start,end,label\na.wav,0.5,1.5,x\na.wav,2,3,y\n")
    explain_here(str(tmp_path / "in"), str(tmp_path / "run"), content_of(tiny_run.explainer, labels=str(labels)))
    segmented = open_run(str(tmp_path / "run"))
    with pytest.raises(InputError, match="give it with --labels"):
        extract(segmented, tmp_path / "out", kinds=("original",), input_url=tmp_path / "in")
    options = {"kinds": ("original",), "input_url": tmp_path / "in", "labels": str(labels)}
    made = extract(segmented, tmp_path / "out", **options)
    assert sorted(one.row["start_s"] for one in made.files) == [0.5, 2.0]
    for one in made.files:
        start = round(one.row["start_s"] * 16_000)
        np.testing.assert_allclose(soundfile.read(one.path)[0], whole[start : start + 16_000], atol=1e-4)


def test_the_command(tiny_run: TinyRun, tmp_path: Path) -> None:
    code, said = lmac("extract", tiny_run.output, tmp_path / "out", "--limit", "3", "--kind", "masked_out")
    assert (code, said) == (0, f"3 FLAC files and extracted.csv in {tmp_path / 'out'} explanations that fit: 10")
    assert len(list((tmp_path / "out").glob("000?-*-masked_out.flac"))) == 3
    code, said = lmac("extract", tiny_run.output, tmp_path / "new", "--where", "ff >")
    assert code == 1
    assert "error: the condition 'ff >' is not one over the view explanations" in said
