"""The census counts what a run reads, by code of its own, in whatever form it comes."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.inputs.labels import GroundTruth
from pipeline.inputs.listing import list_input
from pipeline.inputs.recording import RawRecording, ReadFault
from pipeline.inputs.shards import clip_id
from pipeline.runs.verify.census.check import Heard, InputCount, count_input
from pipeline.runs.verify.census.counted import Census
from pipeline.runs.verify.census.length_main import length_of
from pipeline.runs.verify.census.recordings import recordings_in
from pipeline.runs.verify.census.rows import rows_of
from pipeline.runs.verify.findings import Findings
from schemas.input_config import InputConfig
from tests.flow.make import encoded, write_folder
from tests.inputs.make import listed, read_all, tar_bytes
from tests.runs.verify.counted_inputs import N, clip, folder, run
from tests.runs.verify.make import told


def test_segments_and_samples_are_counted(tmp_path: Path, tiny_explainer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    source = folder(tmp_path / "in")
    found = run(source, tmp_path / "out", tiny_explainer, monkeypatch, lambda items: items, sample="7")
    assert told(found) == ""
    assert found.input == InputCount(recordings=7, in_full=7, not_drawn=13)


def test_what_is_no_sound_and_what_is_no_recording_are_counted(
    tmp_path: Path, tiny_explainer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = folder(tmp_path / "in")
    (source / "broken.wav").write_bytes(b"RIFF but no more than that")
    (source / "notes.txt").write_text("x")
    (source / "strange.2021").write_bytes(clip(3))
    (source / "other").write_bytes(bytes(np.arange(200, dtype=np.uint8)))
    (source / "a.json").write_text(json.dumps({}))
    found = run(source, tmp_path / "out", tiny_explainer, monkeypatch, lambda items: items)
    assert told(found) == ""
    assert found.input == InputCount(recordings=N + 2, in_full=N + 1, in_errors=1, others=2)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_table_s_marks_are_read_by_other_rules(tmp_path: Path, end: str) -> None:
    def keys(*lines: str, name: str = "t.csv") -> list[str]:
        (tmp_path / name).write_text(end.join(lines) + end, newline="")
        return [row["path"] for row in rows_of(str(tmp_path / name), InputConfig())]

    assert keys("path,label", 'a.wav,"x', 'b.wav,y"') == ["a.wav", "b.wav"]
    assert keys("path,note,label", 'a.wav,"one', 'two lines",c', "b.wav,,d") == ["a.wav", "b.wav"]
    for between in ("r.wav,y", "r.wav,y,b,c"):
        with pytest.raises(ValueError, match="the marks on line 2 take rows until line 4"):
            keys("path,text,label", 'q.wav,"x,a', between, 's.wav,bye",c')
        tabs = [line.replace(",", "\t") for line in ("path,text,label", 'q.wav,"x,a', between, 's.wav,bye",c')]
        with pytest.raises(ValueError, match="the marks on line 2 take rows until line 4"):
            keys(*tabs, name="t.tsv")


@pytest.mark.parametrize("pack", [lambda data: data, gzip.compress])
def test_tars_that_cat_has_joined_are_counted_to_the_last(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    one, two = ([("1.wav", b"a"), ("1.cls", label)] for label in (b"dog", b"cat"))
    (tmp_path / "s.tar").write_bytes(pack(tar_bytes(one)) + pack(tar_bytes(two)) + pack(tar_bytes([("2.wav", b"c")])))
    counted = recordings_in(str(tmp_path / "s.tar"), InputConfig(), Census(), lambda data: True)
    found = [(one.clip_id, one.name, one.read(), one.labels) for one in counted]
    assert [one[1:] for one in found] == [
        ("s.tar: 1", b"a", ("dog",)),
        ("s.tar: 1#2", b"a", ("cat",)),
        ("s.tar: 2", b"c", None),
    ]
    assert [one[0] for one in found] == [item.clip_id for item in listed(tmp_path / "s.tar")]


SPANS = ["0.5,1", ".25,", ",1"]


@pytest.mark.parametrize("table", ["metadata.csv", "metadata.jsonl"])
@pytest.mark.parametrize("packed", [False, True])
def test_segments_of_a_folder_s_table_are_counted(tmp_path: Path, table: str, packed: bool) -> None:
    lines = [
        "file_name,start,end,label",
        *(f"d/1.wav,{span},{number}" for number, span in enumerate(SPANS)),
        "d/2.wav,,,w",
    ]
    text = "\n".join(lines)
    if table == "metadata.jsonl":
        rows = (dict(zip(lines[0].split(","), line.split(","), strict=True)) for line in lines[1:])
        text = "\n".join(json.dumps({name: value for name, value in row.items() if value}) for row in rows)
    files = {"d/1.wav": b"1", "d/2.wav": b"2", "d/3.wav": b"3", table: text.encode()}
    source = tmp_path / "in"
    write_folder(source, files)
    if packed:
        (tmp_path / "s.tar").write_bytes(tar_bytes(files))
        source = tmp_path / "s.tar"
    counted = list(recordings_in(str(source), InputConfig(), Census(), lambda data: True))
    listing = list_input(str(source))
    segments = [one for item in read_all(listing) for one in GroundTruth().segments_of(item)]
    assert {one.clip_id for one in counted} == {one.clip_id for one in segments}
    assert len(counted) == 5
    by_id = {one.clip_id: one.labels for one in segments}
    assert all(by_id[one.clip_id] == one.labels for one in counted if one.labels is not None)
    assert sum(one.labels is not None for one in counted) == 4


def test_segments_open_at_the_end_are_counted(tmp_path: Path) -> None:
    (tmp_path / "q.wav").write_bytes(b"q")
    for columns in (
        "path,start,end",
        "path,start,duration",
        "path,onset,offset",
        "path,offset,duration",
        "path,begin,stop",
    ):
        (tmp_path / "m.csv").write_text(f"{columns}\nq.wav,.5,\nq.wav,1,2\nq.wav,,\n")
        counted = recordings_in(str(tmp_path / "m.csv"), InputConfig(), Census(), lambda data: True)
        ids = {one for item in listed(tmp_path / "m.csv") for one in item.clip_ids}
        assert {one.clip_id for one in counted} == ids
        assert len(ids) == 3


def test_rows_of_parquet_have_the_ids_of_their_segments_in_errors_too(tmp_path: Path) -> None:
    audio = pa.array(
        [{"bytes": b"x", "path": None}, {"bytes": None, "path": "gone.wav"}, {"bytes": None, "path": None}]
    )
    columns = {"audio": audio, "start": [0.5, 0.25, 1.0], "end": [None, 1.0, None]}
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    counted = recordings_in(str(tmp_path / "t.parquet"), InputConfig(), Census(), lambda data: True)
    items = listed(tmp_path / "t.parquet")
    lost = [one for item in items if isinstance(item, ReadFault) for one in GroundTruth().lost(item)]
    heard = [one for item in items if isinstance(item, RawRecording) for one in item.clip_ids]
    assert [one.clip_id for one in counted] == heard + lost
    assert len(lost) == 2


def test_what_is_one_recording_to_a_run_is_one_to_the_count(tmp_path: Path) -> None:
    (tmp_path / "q.wav").write_bytes(b"q")
    lines = ["path,start,end,label", "q.wav,0.3,0.6,a", "q.wav,0.30000000000000004,0.6,b"]
    (tmp_path / "m.csv").write_text("\n".join(lines))
    (one,) = recordings_in(str(tmp_path / "m.csv"), InputConfig(), Census(), lambda data: True)
    assert one.labels == ("a", "b")
    (tmp_path / "m.csv").write_text(f"path,label\nq.wav,a\n./q.wav,b\n.\\q.wav,c\n{tmp_path}/q.wav,d\n")
    (one,) = recordings_in(str(tmp_path / "m.csv"), InputConfig(), Census(), lambda data: True)
    assert one.labels == ("a", "b", "c", "d")
    assert [one.clip_id] == [item.clip_id for item in listed(tmp_path / "m.csv")]


def counted_and_read(source: Path) -> list[tuple[str, bytes, tuple[str, ...] | None]]:
    """What the census counts of an input, which has to have the run's ids; its ids are held against the run's."""
    found = list(recordings_in(str(source), InputConfig(), Census(), lambda data: True))
    assert [one.clip_id for one in found] == [one for item in listed(source) for one in item.clip_ids]
    return [(one.name, one.read(), one.labels) for one in found]


def test_a_parquet_file_that_names_recordings_is_counted_as_a_manifest(tmp_path: Path) -> None:
    write_folder(tmp_path, {"a.wav": b"a", "b.wav": b"b"})
    pq.write_table(pa.table({"path": ["a.wav", "b.wav"], "label": ["x", "y"]}), tmp_path / "m.parquet")
    assert counted_and_read(tmp_path / "m.parquet") == [("a.wav", b"a", ("x",)), ("b.wav", b"b", ("y",))]


def test_rows_that_name_files_are_read_from_beside_the_table(tmp_path: Path) -> None:
    write_folder(tmp_path, {"d/a.wav": b"a", "b.wav": b"b"})
    audio = pa.array([{"bytes": None, "path": "./a.wav"}, {"bytes": None, "path": "b.wav"}])
    pq.write_table(pa.table({"audio": audio}), tmp_path / "d" / "t.parquet")
    found = {one.name: one.read() for one in recordings_in(str(tmp_path), InputConfig(), Census(), lambda data: True)}
    assert (found["d/t.parquet, row 0"], found["d/t.parquet, row 1"]) == (b"a", b"b")
    outside = pa.array([{"bytes": None, "path": "../b.wav"}])
    pq.write_table(pa.table({"audio": outside}), tmp_path / "d" / "t.parquet")
    (one,) = recordings_in(str(tmp_path / "d" / "t.parquet"), InputConfig(), Census(), lambda data: True)
    assert one.read() == b""


def test_classes_in_sequences_are_counted_under_their_names(tmp_path: Path) -> None:
    feature = {"feature": {"names": ["cat", "dog"], "_type": "ClassLabel"}, "_type": "Sequence"}
    audio = pa.array([{"bytes": b"0", "path": "0.wav"}, {"bytes": b"1", "path": "1.wav"}])
    table = pa.table({"audio": audio, "labels": pa.array([[1, 0, -1], [-1]])})
    features = {"info": {"features": {"audio": {"_type": "Audio"}, "labels": feature}}}
    table = table.replace_schema_metadata({"huggingface": json.dumps(features)})
    pq.write_table(table, tmp_path / "t.parquet")
    assert [labels for *_, labels in counted_and_read(tmp_path / "t.parquet")] == [("dog", "cat"), ()]


def test_comments_and_nested_paths_are_read_by_other_rules_too(tmp_path: Path) -> None:
    write_folder(tmp_path, {"a.wav": b"a"})
    for text in (
        "# by hand, on a Monday\npath,label\na.wav,x\n",
        "# one\n# path, start_seconds, label\na.wav, 0, x\n",
        "#path,label\na.wav,x\n",
    ):
        (tmp_path / "m.csv").write_text(text)
        assert counted_and_read(tmp_path / "m.csv") == [("a.wav", b"a", ("x",))]
    (tmp_path / "m.csv").write_text("path,Begin Time (s),End Time (s)\na.wav,1,2\n")
    counted_and_read(tmp_path / "m.csv")
    (tmp_path / "m.jsonl").write_text('{"audio": {"path": "a.wav", "bytes": null}, "label": "x"}\n')
    assert counted_and_read(tmp_path / "m.jsonl") == [("a.wav", b"a", ("x",))]


def test_a_name_that_comes_again_in_a_tar_is_counted_with_its_own_label(tmp_path: Path) -> None:
    members = [("a.wav", b"1"), ("a.cls", b"dog"), ("a.wav", b"2"), ("a.cls", b"cat")]
    (tmp_path / "s.tar").write_bytes(tar_bytes(members))
    assert [labels for *_, labels in counted_and_read(tmp_path / "s.tar")] == [("dog",), ("cat",)]


def test_a_table_of_something_else_in_a_folder_is_no_damage(tmp_path: Path) -> None:
    write_folder(tmp_path, {"a.wav": b"a", "metadata.csv": b"site,caf\xe9\n1,2\n"})
    census = Census()
    assert len(list(recordings_in(str(tmp_path), InputConfig(), census, lambda data: True))) == 1
    assert census.uncounted == []


def test_archives_and_sounds_without_a_known_suffix_are_counted(tmp_path: Path) -> None:
    members = [("one", clip(1)), ("two.raw2", clip(2)), ("two.json", b'{"label": "x"}'), ("note.abc", b"text")]
    write_folder(tmp_path / "in", {"archive": tar_bytes(members), "a.tar": tar_bytes(members)})
    audio = pa.array([{"bytes": clip(3), "path": "3.wav"}])
    pq.write_table(pa.table({"audio": audio}), tmp_path / "in" / "table.p")
    is_sound = lambda data: data[:4] == b"RIFF"  # noqa: E731
    found = {one.clip_id for one in recordings_in(str(tmp_path / "in"), InputConfig(), Census(), is_sound)}
    assert found == {one for item in listed(tmp_path / "in") for one in item.clip_ids}
    assert len(found) == 5


@pytest.mark.parametrize(
    "columns",
    [
        {"audio": pa.array([{"array": [0.0] * 8000, "sampling_rate": 16_000}])},
        {"array": pa.array([[[0] * 8000] * 2], pa.list_(pa.list_(pa.int16()))), "sample_rate": pa.array([16_000])},
        {"audio": pa.array([encoded(np.zeros(8000))], pa.binary_view())},
    ],
)
def test_samples_and_every_form_of_bytes_are_counted_to_their_end(tmp_path: Path, columns: dict[str, pa.Array]) -> None:
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    ((_, data, _),) = counted_and_read(tmp_path / "t.parquet")
    assert length_of(data) == {"seconds": 0.5}


def test_tables_as_excel_has_them_and_packed_under_other_names_are_counted(tmp_path: Path) -> None:
    write_folder(tmp_path, {"a.wav": b"a"})
    for name, data in {
        "m.csv": b"sep=;\r\npath;Label;label\r\na.wav;x;y\r\n",
        "n.csv.gz": b"path,label\na.wav,x\n",
        "o.csv": gzip.compress(b"path,label\na.wav,x\n"),
    }.items():
        (tmp_path / name).write_bytes(data)
        assert counted_and_read(tmp_path / name) == [("a.wav", b"a", ("x",))]


def test_a_recording_that_the_input_does_not_have_is_found(tmp_path: Path) -> None:
    write_folder(tmp_path, {"a.wav": clip(1)})
    findings = Findings()
    heard = {clip_id("a.wav"): Heard(1.6, ()), clip_id("b.wav"): Heard(1.6, ())}
    count_input(str(tmp_path), {}, InputConfig(), heard=heard, failed=frozenset(), findings=findings)
    assert findings.counts == {"unknown_recording": 1}


def test_a_column_of_audio_that_is_a_list_holds_no_sound(tmp_path: Path) -> None:
    pq.write_table(pa.table({"audio": [[1.0, 2.0], [3.0]]}), tmp_path / "t.parquet")
    census = Census()
    assert list(recordings_in(str(tmp_path), InputConfig(), census, lambda data: True)) == []
    assert census.others == 1
