"""A report of runs of every kind: what its files hold, and what it says where something is missing."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from pipeline.audit.audit import audit
from pipeline.audit.findings import Finding, Member
from pipeline.audit.report.write import report
from pipeline.runs.run import open_run
from pipeline.storage.errors import StorageError
from schemas.report_config import ReportConfig
from tests.audit.report.conftest import Read
from tests.audit.report.make import HOSTILE, audited, few, many, write_audit
from tests.jobs.test_cli import run as lmac
from tests.s3 import S3Server

pytestmark = pytest.mark.slow

CLASSES = ("rain", "dog", "siren")


@pytest.fixture(scope="module")
def wide(base_run: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """300 windows of three classes, with findings."""
    return audited(many(base_run, str(tmp_path_factory.mktemp("wide") / "run"), 300, CLASSES, part_windows=64))


@pytest.fixture(scope="module")
def written(wide: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of 200 of them, 40 with pictures."""
    out = tmp_path_factory.mktemp("written") / "out"
    made = report(wide, out, config=ReportConfig(windows=200, pictured=40))
    assert (made.windows, made.shown, made.pictured, made.heard, made.findings) == (300, 200, 40, 40, 6)
    assert made.bytes == sum(file.stat().st_size for file in out.rglob("*") if file.is_file())
    return out


def sound_of(path: Path) -> np.ndarray:
    return np.asarray(soundfile.read(path, dtype="float32")[0])


def test_the_list_has_every_window_shown_once_and_its_files_are_there(written: Path, wide: str, data: Read) -> None:
    clips = data(written, "clips")
    predictions = {row["key"]: row for row in open_run(wide).table("predictions").to_table().to_pylist()}
    assert len(clips["key"]) == len(set(clips["key"])) == 200
    for i, key in enumerate(clips["key"]):
        row = predictions[key]
        assert clips["names"][clips["label"][i]] == row["label"]
        assert [clips["names"][one] for one in clips["truth"][i]] == row["label_true"]
        assert clips["clip_id"][clips["clip"][i]] == row["clip_id"]
        assert clips["p"][i] == pytest.approx(row["probability"], abs=1e-3)
    assert clips["media"] == [2] * 40 + [0] * 160
    for name in ("000", "001"):
        for one in data(written, name):
            for path in re.findall(r"(?:sounds|pictures)/[\w.-]+", str(one["media"])):
                assert (written / path).is_file()
            assert len(one["near"]) == 5


def test_the_original_is_the_sum_of_both_sides(written: Path, data: Read) -> None:
    for one in data(written, "000")[:5]:
        sounds = one["media"]["explanations"][0]["sounds"]
        whole, kept, removed = (sound_of(written / sounds[kind]) for kind in ("original", "kept", "removed"))
        np.testing.assert_allclose(whole, kept + removed, atol=2e-3)
        assert np.abs(whole).max() > 0.01


def test_findings_come_by_weight_with_examples_that_can_be_heard(written: Path) -> None:
    page = (written / "index.html").read_text("utf-8")
    statements = re.findall(r"<h3>(.*?)</h3>", page)
    assert [one.partition(":")[0] for one in statements] == [
        "label error", "shortcut", "duplicate", "broken audio", "unfaithful", "odd one out", "typical",
    ]  # fmt: skip
    for finding in page.split('class="finding"')[1:]:
        assert len(re.findall(r'<article class="card">', finding)) == 3
        assert len(re.findall(r'data-play="sounds/\d+-original.flac"', finding)) == 3
    assert "confirmed on audio" in page
    assert "0.4 (95%: 0.3 to 0.5) drop of p; p = 0.004, adjusted" in page


def test_examples_are_of_different_recordings_and_say_all_that_a_finding_says_of_them(
    base_run: str, tmp_path: Path
) -> None:
    run = many(base_run, str(tmp_path / "run"), 20, CLASSES)
    ids = open_run(run).sql("SELECT clip_id, window_id FROM predictions ORDER BY window_id").fetchall()
    members = [
        Member(*ids[0], 9, "least certain"),
        Member(*ids[0], 8, "sure and wrong"),
        Member(*ids[1], 7),
        Member(*ids[2], 1),
    ]
    write_audit(run, [Finding("typical", "rain", "what it sounds like", 3, 0.15, 1.0, members=members)])
    report(run, tmp_path / "out")
    page = (tmp_path / "out" / "index.html").read_text("utf-8")
    finding = page.split('class="finding"')[1].split("</li>")[0]
    assert len(set(re.findall(r'class="name" href="(#/clip/\d+)"', finding))) == 3
    assert "least certain; sure and wrong" in finding
    assert "All 3 clips" in finding


def test_a_class_is_set_against_all_others(written: Path, wide: str, data: Read) -> None:
    classes = {one["name"]: one for one in data(written, "classes")["classes"]}
    assert set(classes) == set(CLASSES)
    masks = open_run(wide).table("masks").to_table(columns=["target", "band_profile"]).to_pylist()
    for name, one in classes.items():
        own, others = (
            np.mean([row["band_profile"] for row in masks if (row["target"] == name) is same], axis=0)
            for same in (True, False)
        )
        np.testing.assert_allclose(one["bands"]["own"], own, atol=1e-4)
        np.testing.assert_allclose(one["bands"]["others"], others, atol=1e-4)
        assert one["windows"] == sum(row["target"] == name for row in masks) == sum(one["sure"])
        assert one["labelled"] == one["hits"] + sum(count for _, count in one["missed"])
    assert sum(one["windows"] for one in classes.values()) == 300


def test_labels_that_the_audit_took_are_those_of_the_report(base_run: str, tmp_path: Path, data: Read) -> None:
    run = many(base_run, str(tmp_path / "run"), 20, CLASSES)
    rows = open_run(run).sql("SELECT clip_id, label FROM predictions ORDER BY window_id").fetchall()
    # All as they are called but the first: it is called wrong.
    taken = {clip_id: [label] for clip_id, label in rows}
    other = next(name for name in CLASSES if name != rows[0][1])
    taken[rows[0][0]] = [other]
    write_audit(run, [], taken)
    report(run, tmp_path / "out")
    shown = data(tmp_path / "out", "clips")
    truth = {
        shown["clip_id"][clip]: [shown["names"][one] for one in own]
        for clip, own in zip(shown["clip"], shown["truth"], strict=True)
    }
    assert truth == taken
    classes = {one["name"]: one for one in data(tmp_path / "out", "classes")["classes"]}
    assert sum(one["hits"] for one in classes.values()) == 19
    assert classes[other]["missed"] == [[rows[0][1], 1]]
    page = (tmp_path / "out" / "index.html").read_text("utf-8")
    assert "<b>95%</b>" in page
    assert "20 windows have a label" in page
    # Findings do not depend on there being other labels.
    Path(run, "audit", "labels.parquet").unlink()
    audited(run)
    Path(run, "audit", "labels.parquet").unlink()
    report(run, tmp_path / "without")
    assert 'class="finding"' in (tmp_path / "without" / "index.html").read_text("utf-8")


def test_the_report_of_more_windows_is_no_larger(wide: str, base_run: str, tmp_path: Path) -> None:
    config = ReportConfig(windows=100, pictured=10)
    more = many(base_run, str(tmp_path / "more"), 1200, CLASSES)
    small, large = report(wide, tmp_path / "a", config=config), report(more, tmp_path / "b", config=config)
    assert small.shown == large.shown == 100
    assert large.bytes < 1.1 * small.bytes
    assert "100 of the run&#39;s 1,200 windows are shown" in (tmp_path / "b" / "index.html").read_text("utf-8")


def test_long_metadata_are_cut(base_run: str, tmp_path: Path, data: Read) -> None:
    report(many(base_run, str(tmp_path / "run"), 20, CLASSES, note="x" * 100_000), tmp_path / "out")
    found = dict(data(tmp_path / "out", "000")[0]["metadata"])
    assert found["note"] == "x" * 300 + " …"
    assert found["site"].startswith("site ")


def test_sound_stays_within_its_budget(wide: str, tmp_path: Path) -> None:
    made = report(wide, tmp_path / "out", config=ReportConfig(windows=100, pictured=100, sound_mb=1))
    size = sum(file.stat().st_size for file in (tmp_path / "out" / "sounds").iterdir())
    assert 0.5e6 < size <= 1e6
    assert 0 < made.heard <= made.pictured < 100
    assert report(wide, tmp_path / "silent", config=ReportConfig(windows=50, pictured=20, sound_mb=0)).heard == 0
    assert not (tmp_path / "silent" / "sounds").exists()
    assert len(list((tmp_path / "silent" / "pictures").iterdir())) == 40


def test_hostile_names_are_text_everywhere(base_run: str, tmp_path: Path, data: Read) -> None:
    classes = ("rain", HOSTILE)
    run = many(base_run, str(tmp_path / "run"), 40, classes, key_of=lambda i: f"{i} {HOSTILE}")
    report(audited(run, statement=HOSTILE, subject=HOSTILE), tmp_path / "out")
    page = (tmp_path / "out" / "index.html").read_text("utf-8")
    assert "<img src=x" not in page
    assert "<script>window" not in page
    assert page.count("<script") == 1
    for name in ("clips", "classes", "000"):
        assert "<" not in (tmp_path / "out" / "data" / f"{name}.js").read_text("ascii")
    assert data(tmp_path / "out", "clips")["key"][0].endswith(HOSTILE)
    assert all(
        re.fullmatch(r"[\w./-]+", str(file.relative_to(tmp_path / "out"))) for file in (tmp_path / "out").rglob("*")
    )


def test_what_an_audit_could_not_tell_is_in_the_report(base_run: str, tmp_path: Path) -> None:
    run = many(base_run, str(tmp_path / "run"), 12, ("rain", HOSTILE))
    found = audit(run, kinds=["odd_one_out"])
    (note,) = found.notes["odd_one_out"]
    report(run, tmp_path / "out")
    assert f"<li>Odd one out: {note}</li>" in (tmp_path / "out" / "index.html").read_text("utf-8")


def test_a_run_that_keeps_one_side_shows_it_and_its_input_gives_the_original(tmp_path: Path, data: Read) -> None:
    run = few(tmp_path, listenables=("masked_in",))
    report(run, tmp_path / "alone")
    one = data(tmp_path / "alone", "000")[0]
    assert set(one["media"]["explanations"][0]["sounds"]) == {"kept"}
    assert (tmp_path / "alone" / one["media"]["picture"]).is_file()
    report(run, tmp_path / "both", input_url=tmp_path / "few-in")
    two = data(tmp_path / "both", "000")[0]
    sounds = two["media"]["explanations"][0]["sounds"]
    assert list(sounds) == ["original", "kept"]
    heard = sound_of(tmp_path / "both" / sounds["original"])
    wanted = [sound_of(file) for file in (tmp_path / "few-in").iterdir()]
    assert min(np.abs(heard - other).max() for other in wanted if len(other) == len(heard)) < 1e-3


def test_a_run_without_sound_labels_or_audit_has_a_report(tmp_path: Path, data: Read) -> None:
    run = few(tmp_path, listenables=(), masks="none")
    assert lmac("report", run)[0] == 0
    out = Path(run) / "report"
    page = (out / "index.html").read_text("utf-8")
    assert "lmac audit RUN" in page
    assert "This run keeps no sound" in page
    assert "labels to compare with" in page
    assert data(out, "000")[0]["media"] is None
    assert data(out, "clips")["media"] == [0] * 16
    assert all(one["labelled"] == 0 for one in data(out, "classes")["classes"])
    # A report in the run is no part of it.
    assert lmac("verify", run)[0] == 0


def test_a_run_without_any_window_has_a_report(tmp_path: Path, data: Read) -> None:
    run = few(tmp_path, recordings={"broken.wav": b"no audio at all, whatever its name says " * 30})
    made = report(run, tmp_path / "out")
    assert (made.windows, made.shown, made.heard) == (0, 0, 0)
    assert data(tmp_path / "out", "clips")["key"] == []
    assert "recordings could not be used" in (tmp_path / "out" / "index.html").read_text("utf-8")


def test_two_targets_of_a_window_have_their_own_sides_and_one_original(tmp_path: Path, data: Read) -> None:
    report(few(tmp_path, targets="topk:2"), tmp_path / "out")
    for one in data(tmp_path / "out", "000"):
        first, second = one["media"]["explanations"]
        assert one["explanations"][0]["scores"]["p"] >= one["explanations"][1]["scores"]["p"]
        assert first["sounds"]["original"] == second["sounds"]["original"]
        assert first["sounds"]["kept"] != second["sounds"]["kept"]
        assert first["mask"] != second["mask"]


def test_an_earlier_report_is_replaced_and_anything_else_is_left_alone(base_run: str, tmp_path: Path) -> None:
    report(base_run, tmp_path / "out")
    stale = tmp_path / "out" / "data" / "999.js"
    stale.write_text("old")
    report(base_run, tmp_path / "out")
    assert not stale.exists()
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "index.html").write_text("<p>my own page</p>")
    with pytest.raises(StorageError, match="holds something other than a report: pass a new or empty folder as --out"):
        report(base_run, mine)
    assert [file.name for file in mine.iterdir()] == ["index.html"]


def test_a_run_in_a_bucket_has_its_report_beside_it(base_run: str, s3_server: S3Server, data: Read) -> None:
    shutil.copytree(base_run, s3_server.bucket_dir / "run", ignore=shutil.ignore_patterns("report"))
    url = f"{s3_server.bucket_url}/run"
    for _ in range(2):
        made = report(url, config=ReportConfig(pictured=3))
        assert (made.page, made.heard) == (f"{url}/report/index.html", 3)
    folder = s3_server.bucket_dir / "run" / "report"
    assert len(data(folder, "clips")["key"]) == 16
    assert made.bytes == sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def test_the_command_says_what_it_wrote(wide: str, tmp_path: Path) -> None:
    code, printed = lmac("report", wide, "--out", tmp_path / "out", "--windows", "30", "--pictured", "5")
    assert code == 0
    assert "30 of 300 windows, 5 of them with sound (more with --sound-mb, --pictured or --input); 6 " in printed
    assert printed.endswith(f"open {tmp_path / 'out' / 'index.html'}")
    code, printed = lmac("report", tmp_path / "nothing")
    assert code == 1
    assert "give the output of `lmac explain`" in printed
