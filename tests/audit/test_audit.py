"""An audit as a whole: its order, its correction, its tables, its labels and marks, on disk and on S3."""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

import lmac
from pipeline.audit import audit as module
from pipeline.audit.audited import AuditedRun, AuditError
from pipeline.audit.correction import adjusted
from pipeline.audit.findings import Finding
from pipeline.audit.given_labels import given_labels
from pipeline.audit.weight import CANDIDATE, STAKES, weigh
from pipeline.inputs.shards import clip_id
from pipeline.runs.leftovers import find_leftovers
from pipeline.runs.output import RunOutput
from pipeline.storage.errors import InputError
from schemas.audit_config import AuditConfig
from schemas.audit_tables import AUDIT_TABLES
from schemas.input_config import InputConfig
from schemas.yaml_config import ConfigError
from tests.audit.make import made_run, window
from tests.conftest import TinyRun
from tests.s3 import S3Server


def broken(folder: Path) -> str:
    """Twenty recordings at two sites, five of them clipped."""
    rows = [
        window(f"{number}.wav", clipped=0.01 * (number < 5), metadata={"site": "A" if number < 8 else "B"})
        for number in range(20)
    ]
    return made_run(folder / "run", rows)


def read(url: str, name: str) -> Any:
    return pq.read_table(io.BytesIO(RunOutput(url).read_bytes(f"audit/{name}.parquet")))


def test_findings_are_written_as_the_schema_says_and_replaced_by_the_next_audit(tmp_path: Path) -> None:
    url = broken(tmp_path)
    found = lmac.audit(url)
    assert {one.kind for one in found.findings} == {"broken_audio", "typical"}
    for name, schema in AUDIT_TABLES.items():
        assert read(url, name).schema.equals(schema)
    rows = read(url, "findings").to_pylist()
    assert [row["finding"] for row in rows] == [one.id for one in found.findings]
    assert [row["weight"] for row in rows] == sorted((row["weight"] for row in rows), reverse=True)
    # Members are named as in the run.
    members = read(url, "members").to_pylist()
    assert members
    assert all(member["clip_id"] == clip_id(member["key"]) for member in members)
    told = json.loads(read(url, "findings").schema.metadata[b"audit"])
    assert (told["recordings"], told["settings"]["seed"]) == (20, 0)
    lmac.audit(url, kinds=["unfaithful"])
    assert read(url, "findings").num_rows == read(url, "members").num_rows == 0


@pytest.mark.parametrize(
    "kinds", ["typical", ("typical",), {"typical"}, iter(["typical"])], ids=lambda one: type(one).__name__
)
def test_kinds_are_one_word_or_any_collection(kinds: Any) -> None:
    assert AuditConfig(kinds=kinds).kinds == ("typical",)


def test_an_audit_is_the_same_every_time(tmp_path: Path) -> None:
    url = broken(tmp_path)
    first = {name: (lmac.audit(url), read(url, name))[1] for name in AUDIT_TABLES}
    lmac.audit(url)
    assert all(read(url, name).equals(table) for name, table in first.items())


def test_a_run_with_an_audit_is_still_whole_and_has_no_leftovers(tiny_run: TinyRun, tmp_path: Path) -> None:
    url = str(shutil.copytree(tiny_run.output, tmp_path / "run"))
    lmac.audit(url)
    left = Path(url, "audit", f".{'0' * 32}.tmp")
    left.write_bytes(b"")
    assert not lmac.verify(url, tiny_run.source).findings
    assert [file.path for file in find_leftovers(RunOutput(url), timedelta(0)).files] == [f"audit/{left.name}"]
    named = {file.path for file in RunOutput(url).files()}
    assert RunOutput(url).sweep_orphans(named) == []
    assert lmac.open_run(url).sql("SELECT count(*) FROM predictions").fetchall() == [(10,)]


def test_a_weight_grows_with_the_stakes_the_share_and_the_certainty() -> None:
    assert weigh(STAKES["shortcut"], 0.5) > weigh(STAKES["shortcut"], 0.5, CANDIDATE) > 0
    assert weigh(STAKES["label_error"], 0.1) > weigh(STAKES["label_error"], 0.01)
    # What is typical comes last, however many it is about, and one wrong label of a thousand before it.
    assert weigh(STAKES["typical"], 1.0) < weigh(STAKES["label_error"], 0.001)


def test_p_is_corrected_over_all_tests_of_an_audit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert adjusted([0.04, 0.01, 0.03, 0.9]).tolist() == pytest.approx([0.04 * 4 / 3, 0.04, 0.04 * 4 / 3, 0.9])
    assert adjusted([]).tolist() == []
    # Those that are told may be the least of many.
    assert adjusted([0.01, 0.0001], tests=50).tolist() == pytest.approx([0.25, 0.005])

    def asks(kind: Any, values: Sequence[float | None]) -> module.Question:
        return lambda about, config: [
            Finding(kind, str(number), "", 1, 0.1, weight=0.1, p=p) for number, p in enumerate(values)
        ]

    questions = {"shortcut": asks("shortcut", [0.001, 0.03, 0.9]), "duplicate": asks("duplicate", [0.02, None])}
    monkeypatch.setattr(module, "QUESTIONS", questions)
    found = {(one.kind, one.subject): one.p_adjusted for one in lmac.audit(broken(tmp_path)).findings}
    assert found == {
        ("shortcut", "0"): pytest.approx(0.004),
        ("shortcut", "1"): pytest.approx(0.04),
        ("duplicate", "0"): pytest.approx(0.04),
        ("duplicate", "1"): None,
    }


def test_shares_count_each_recording_once(tmp_path: Path) -> None:
    rows = [
        window(f"{number}.wav", clipped=0.01 * (number < 5), dc_offset=0.1 * (3 <= number < 7)) for number in range(20)
    ]
    found = lmac.audit(made_run(tmp_path / "run", rows), kinds=["broken_audio"])
    assert (found.concerned("broken_audio"), found.share("broken_audio")) == (7, 0.35)
    assert found.concerned("label_error") == 0


def test_the_evidence_says_which_groups_a_finding_is_of(tmp_path: Path) -> None:
    (one,) = lmac.audit(broken(tmp_path), kinds=["broken_audio"], group_by=["site"]).findings
    assert one.evidence["by_group"] == {"site": {"A": {"n": 5, "of": 8}}}
    with pytest.raises(AuditError, match="no recording has a column 'device' in its metadata; there are: site"):
        lmac.audit(broken(tmp_path / "other"), split="device")
    empty = made_run(
        tmp_path / "empty", [window("a.wav", metadata={"site": None}), window("b.wav", metadata={"site": ""})]
    )
    with pytest.raises(AuditError, match=r"the column 'site' .* is empty in all of them"):
        lmac.audit(empty, group_by=["site"])


@pytest.mark.parametrize("name", ["", "a.b", 'a"b', "a/b", "~1", "*", "$[0]", "it's", "Gerät "])
def test_a_column_may_have_any_name(name: str, tmp_path: Path) -> None:
    rows = [window(f"{number}.wav", clipped=0.01 * (number < 2), metadata={name: f"<{number}>"}) for number in range(4)]
    (one,) = lmac.audit(made_run(tmp_path / "run", rows), kinds=["broken_audio"], group_by=[name], split=name).findings
    assert one.evidence["by_group"] == {name: {"<0>": {"n": 1, "of": 1}, "<1>": {"n": 1, "of": 1}}}
    copies = [window(f"{n}.wav", sound_sha256="one", metadata={name: part}) for n, part in enumerate(["x", "y", ""])]
    found = lmac.audit(made_run(tmp_path / "copies", copies), kinds=["duplicate"], split=name).findings
    assert found[0].subject == f"leakage across {name}: x, y"


def test_labels_of_a_table_take_the_place_of_the_runs_in_arrays_and_in_sql(tmp_path: Path) -> None:
    rows = [window(f"a/{number}.wav", label_true=["bark"]) for number in range(4)]
    url = made_run(tmp_path / "run", rows)
    table = tmp_path / "labels.csv"
    table.write_text("file,what\n0.wav,rain\n/elsewhere/a/1.wav,rain;siren\nunknown.wav,rain\n")
    asked = AuditConfig(labels=str(table), label_column="what", label_separator=";")
    about, _ = module._opened(lmac.open_run(url), asked)
    by_key = dict(zip(about.windows["key"].to_pylist(), about.labels, strict=True))
    assert by_key == {"a/0.wav": ["rain"], "a/1.wav": ["rain", "siren"], "a/2.wav": [], "a/3.wav": []}
    query = "SELECT count(*) FROM predictions WHERE list_contains(label_true, 'rain')"
    assert about.connection.sql(query).fetchall() == [(2,)]
    # For the report, until an audit takes the run's own.
    lmac.audit(url, asked)
    taken = dict(read(url, "labels").select(["clip_id", "labels"]).to_pandas().to_numpy().tolist())
    assert {key: list(taken[clip_id(key)]) for key in by_key} == by_key
    lmac.audit(url)
    assert read(url, "labels").num_rows == 0
    table.write_text("file,label\nother.wav,rain\n")
    with pytest.raises(InputError, match="none of its 1 recordings is one of the 4"):
        lmac.audit(url, labels=str(table))
    table.write_text("file,label,start,end\na/0.wav,rain,0,1\n")
    with pytest.raises(InputError, match="it names segments"):
        lmac.audit(url, labels=str(table))


def test_marks_leave_out_what_is_right_and_make_a_table_to_train_with(tmp_path: Path) -> None:
    rows = [window(f"{number}.wav", clipped=0.01 * (number < 3), label_true=["bark"]) for number in range(6)]
    url = made_run(tmp_path / "run", rows)
    marks = tmp_path / "marks.csv"
    lines = [
        (0, "right", "", ""),
        (1, "wrong", "rain", 'it pours, "heavily"'),
        (2, "wrong", "", ""),
        (3, "unsure", "", ""),
    ]
    with marks.open("w", newline="") as file:
        csv.writer(file).writerows(
            [("clip_id", "mark", "label", "note"), *((clip_id(f"{number}.wav"), *rest) for number, *rest in lines)]
        )
    found = lmac.audit(url, reviewed=str(marks), kinds=["broken_audio"])
    assert [member.clip_id for member in found.findings[0].members] == sorted(clip_id(f"{n}.wav") for n in (1, 2))
    table = list(csv.DictReader(io.StringIO(RunOutput(url).read_bytes("audit/reviewed.csv").decode())))
    assert [(row["key"], row["label"], row["mark"]) for row in table] == [
        ("0.wav", "bark", "right"),
        ("1.wav", "rain", "wrong"),
        ("2.wav", "", "wrong"),
        ("3.wav", "", "unsure"),
        ("4.wav", "bark", ""),
        ("5.wav", "bark", ""),
    ]
    assert table[1]["note"] == 'it pours, "heavily"'
    # It is a table of labels as all commands take it.
    again = lmac.audit(url, labels=f"{url}/audit/reviewed.csv", kinds=["typical"])
    assert {one.subject: one.n for one in again.findings} == {"bark": 3, "rain": 1}
    # It stays, as a person's work, but an audit without the marks says that it is not its own.
    assert RunOutput(url).exists("audit/reviewed.csv")
    assert "audit/reviewed.csv is of an earlier audit" in lmac.audit(url, kinds=["label_error"]).notes["label_error"][0]


def test_columns_of_the_table_of_labels_form_groups_and_splits(tmp_path: Path) -> None:
    rows = [
        window(f"{number}.wav", clipped=0.01, sound_sha256=str(number // 2), metadata={"site": "old"})
        for number in range(4)
    ]
    url, table = made_run(tmp_path / "run", rows), tmp_path / "labels.csv"
    table.write_text("path,label,site,fold\n" + "".join(f"{n}.wav,bark,{'ab'[n // 2]},{n % 2}\n" for n in range(4)))
    found = lmac.audit(url, labels=table, group_by=["site"], split="fold", kinds=["broken_audio", "duplicate"])
    broken_one = next(one for one in found.findings if one.kind == "broken_audio")
    assert set(broken_one.evidence["by_group"]["site"]) == {"a", "b"}
    assert [one.subject for one in found.findings if one.subject.startswith("leakage")] == ["leakage across fold: 0, 1"]
    # What the table leaves empty is empty, whatever the run says.
    table.write_text("path,site\n0.wav,\n1.wav,new\n")
    run = lmac.open_run(url)
    about = AuditedRun(run, columns=given_labels(run, InputConfig(labels=str(table))).columns)
    keys = about.of_recordings(about.windows["key"].to_pylist())
    assert dict(zip(keys, about.column("site"), strict=True)) == {
        "0.wav": None,
        "1.wav": "new",
        "2.wav": "old",
        "3.wav": "old",
    }
    with pytest.raises(AuditError, match=r"no recording has a column 'town' in its metadata; there are: site"):
        lmac.audit(url, labels=table, group_by=["town"])


def test_an_audit_says_how_many_recordings_it_could_judge(tmp_path: Path) -> None:
    rows = [window(f"{number}.wav", label_true=["bark"] * (number < 5)) for number in range(20)]
    found = lmac.audit(made_run(tmp_path / "run", rows), kinds=["label_error", "broken_audio"])
    assert (found.judged, found.judged_by("broken_audio")) == ({"label_error": 0}, 20)
    few = [window(f"{number}.wav", label_true=["bark"]) for number in range(4)]
    for kind in ("odd_one_out", "unfaithful", "shortcut"):
        nothing = lmac.audit(made_run(tmp_path / kind, few), kinds=[kind])
        assert nothing.judged == {kind: 0}, kind


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("clip,mark\nx,right\n", "it has no column 'clip_id', only clip, mark"),
        ("clip_id,mark\nx,good\n", "line 2: the mark 'good' is not one of right, wrong, unsure"),
        ("clip_id,mark\nx,right\n", "none of the 1 marked recordings is in the run"),
    ],
)
def test_marks_that_cannot_be_meant_are_refused(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "marks.csv").write_text(text)
    with pytest.raises(AuditError, match=message):
        lmac.audit(broken(tmp_path), reviewed=str(tmp_path / "marks.csv"))


def test_a_right_label_does_not_hide_that_a_recording_is_a_copy(tmp_path: Path) -> None:
    rows = [window(f"{number}.wav", sound_sha256=str(max(number, 1)), label_true=["bark"]) for number in range(4)]
    marks = tmp_path / "marks.csv"
    marks.write_text(f"clip_id,mark\n{clip_id('0.wav')},right\n")
    found = lmac.audit(made_run(tmp_path / "run", rows), reviewed=str(marks), kinds=["duplicate"])
    (same,) = found.findings
    assert (same.n, {member.clip_id for member in same.members}) == (2, {clip_id("0.wav"), clip_id("1.wav")})


def test_recordings_that_share_a_jingle_are_said_to_share_a_part(tmp_path: Path) -> None:
    def rows(shared: int) -> list[dict[str, Any]]:
        sounds = [(key, i, "jingle" if i < shared else f"{key}{i}") for key in ("a", "b") for i in range(3)]
        # The jingle comes twice in one of them.
        return [window(key, i, sound_sha256=sound) for key, i, sound in [*sounds, ("a", 3, "jingle")]]

    in_part = lmac.audit(made_run(tmp_path / "part", rows(1)), kinds=["duplicate"]).findings[0]
    assert in_part.statement.endswith("in 1 group; 2 of them only in part of their windows")
    whole = lmac.audit(made_run(tmp_path / "whole", rows(3)), kinds=["duplicate"]).findings[0]
    assert (whole.n, whole.evidence["in_part"]) == (2, 0)
    assert whole.statement.endswith("in 1 group")


def test_a_run_in_which_nothing_could_be_explained_has_no_findings(tmp_path: Path) -> None:
    found = lmac.audit(made_run(tmp_path / "run", []))
    assert (found.findings, found.recordings, found.share("broken_audio")) == ([], 0, 0.0)
    assert read(f"{tmp_path}/run", "findings").num_rows == 0


def test_settings_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="pass the run's input"):
        lmac.audit(broken(tmp_path), confirm=True)
    with pytest.raises(ConfigError, match="kinds"):
        lmac.audit(broken(tmp_path / "kinds"), kinds=["duplicates"])


def test_a_recording_of_several_windows_is_one_row_of_recordings(tmp_path: Path) -> None:
    rows = [window(key, index, embedding=[float(index), 1.0]) for key in ("b.wav", "a.wav") for index in range(3)]
    about = AuditedRun(lmac.open_run(made_run(tmp_path / "run", rows)))
    assert about.recordings == sorted({row["clip_id"] for row in rows})
    assert about.recording_of_window.tolist() == [0, 0, 0, 1, 1, 1]
    assert about.mean_by_recording(about.embeddings).tolist() == [[1.0, 1.0]] * 2
    assert about.of_recordings(about.window_ids) == [f"{one}-00000" for one in about.recordings]


@pytest.mark.slow
def test_an_audit_on_s3_is_that_of_the_disk(s3_server: S3Server, tmp_path: Path) -> None:
    remote = f"{s3_server.bucket_url}/run"
    rows = [window(f"{number}.wav", clipped=0.01 * (number < 5)) for number in range(20)]
    for url in (made_run(remote, rows), made_run(tmp_path / "run", rows)):
        lmac.audit(url)
    assert read(remote, "members").equals(read(str(tmp_path / "run"), "members"))
