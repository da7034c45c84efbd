from __future__ import annotations

import datetime
import decimal
import gzip
import io
import json
import os
import tarfile
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.inputs.listing import list_input
from pipeline.inputs.readers import read_shard
from pipeline.inputs.recording import RawRecording, ReadFault
from pipeline.inputs.shards import clip_id
from pipeline.storage.errors import InputError
from tests.inputs.make import listed, mixture, tar_bytes, write_files, write_parquet


def outline(items: list[RawRecording | ReadFault]) -> list[tuple[str, str | bytes]]:
    return [(item.key, item.data if isinstance(item, RawRecording) else item.reason) for item in items]


def damaged_inputs(folder: Path) -> Path:
    """Every kind of shard, each with something wrong in it."""
    mixture(folder)
    data = tar_bytes({f"c{i}.wav": bytes(700) for i in range(6)})
    (folder / "cut.tar").write_bytes(data[: 512 * 10])
    rows = [{"audio": {"bytes": bytes([i] * 5000), "path": None}} for i in range(12)]
    rows[9]["audio"] = None
    path = write_parquet(folder / "bad.parquet", rows, row_group_rows=4)
    page = pq.ParquetFile(path).metadata.row_group(1).column(0).data_page_offset
    with path.open("r+b") as file:
        file.seek(page)
        file.write(b"\xff" * 30)
    return folder


def test_reading_from_k_is_reading_all_without_the_first_k(tmp_path: Path) -> None:
    listing = list_input(str(damaged_inputs(tmp_path)))
    for shard in listing.shards:
        whole = list(read_shard(listing.root_url, shard))
        assert [item.ordinal for item in whole] == sorted({item.ordinal for item in whole})
        for start in range(len(whole) + 2):
            rest = list(read_shard(listing.root_url, shard, start))
            assert rest == [item for item in whole if item.ordinal >= start]


def test_a_file_that_vanished_is_a_fault_and_the_others_are_read(tmp_path: Path) -> None:
    listing = list_input(str(write_files(tmp_path, ["a.wav", "b.wav", "c.wav"])))
    (tmp_path / "b.wav").unlink()
    items = list(read_shard(listing.root_url, listing.shards[0]))
    assert outline(items) == [("a.wav", b"a.wav"), ("b.wav", "missing"), ("c.wav", b"c.wav")]
    assert items[1].message == "b.wav: it does not exist"


def test_a_clip_over_the_limit_is_a_fault_where_it_must_be_held_and_else_read_by_ranges(tmp_path: Path) -> None:
    write_files(tmp_path, ["a/long name.wav"])
    tar = tar_bytes({"i.wav": b"i", "k.wav": bytes(range(20)), "l.wav": b"l"})
    (tmp_path / "b.tar").write_bytes(tar)
    (tmp_path / "b.tar.gz").write_bytes(gzip.compress(tar))
    write_parquet(tmp_path / "c.parquet", [{"audio": {"bytes": bytes(20), "path": "p.wav"}}])
    listing = list_input(str(tmp_path))
    items = [i for s in listing.shards for i in read_shard(listing.root_url, s, max_clip_bytes=10)]
    large = items.pop(0)
    assert isinstance(large, RawRecording)
    assert not isinstance(large.data, bytes)
    assert large.size_bytes == len(b"a/long name.wav")
    with large.data.open() as file:
        assert (file.seek(7), file.read()) == (7, b"name.wav")
    member = items.pop(1)
    assert isinstance(member, RawRecording)
    assert not isinstance(member.data, bytes)
    with member.data.open() as file:
        assert (member.size_bytes, file.read(3), file.seek(15), file.read()) == (
            20,
            b"\0\1\2",
            15,
            bytes(range(15, 20)),
        )
    assert outline(items) == [
        ("i", b"i"),
        ("l", b"l"),
        *(("i", b"i"), ("k", "too_large"), ("l", b"l")),
        ("p.wav", "too_large"),
    ]


def test_a_damaged_sidecar_costs_no_clip(tmp_path: Path) -> None:
    write_files(tmp_path, ["a.wav"])
    (tmp_path / "a.json").write_text("{not json")
    (item,) = listed(tmp_path)
    assert item.data == b"a.wav"
    assert item.metadata["metadata_error"].startswith("a.json is not valid JSON")


def test_webdataset_members_are_grouped_by_key(tmp_path: Path) -> None:
    members = [
        ("./d/a.wav", b"first"),
        ("./d/a.flac", b"a second sound"),
        ("./d/a.json", b'{"label": "dog", "n": NaN}'),
        ("./d/a.txt", b"a dog barks\n"),
        ("./d/a.cls", b"3"),
        ("./d/a.npy", b"counted"),
        ("./d/._b.wav", b"hidden"),
        ("./d/b.txt", b"no audio"),
        ("./d/a.wav", b"again"),
    ]
    (tmp_path / "s.tar").write_bytes(tar_bytes(members))
    a, other, b, again = listed(tmp_path / "s.tar")
    assert (a.key, a.name, a.data, a.clip_id) == ("d/a", "a.wav", b"first", clip_id("s.tar\0d/a"))
    assert (other.key, other.name, other.data) == ("d/a.flac", "a.flac", b"a second sound")
    assert a.metadata == other.metadata == {"label": "dog", "n": None, "txt": "a dog barks", "cls": "3"}
    assert (b.key, b.reason) == ("d/b", "no_audio")
    assert (again.key, again.data) == ("d/a#2", b"again")


def test_links_out_of_a_tar_are_faults_and_devices_and_folders_are_counted(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "s.tar", "w") as archive:
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE):
            member = tarfile.TarInfo(f"evil{kind.decode()}.wav")
            member.type, member.linkname = kind, "/etc/passwd"
            archive.addfile(member)
        member = tarfile.TarInfo("good.wav")
        member.size = 4
        archive.addfile(member, io.BytesIO(b"good"))
    left_out: Counter[str] = Counter()
    listing = list_input(str(tmp_path / "s.tar"))
    items = list(read_shard(listing.root_url, listing.shards[0], left_out=left_out))
    assert outline(items) == [("evil2", "missing"), ("evil1", "missing"), ("good", b"good")]
    assert (
        "it is a link to 'etc/passwd', which is no file of the archive" in items[1].message
        or "passwd" in items[1].message
    )
    assert left_out == {"pipe, socket or device": 2}


def test_tar_names_that_are_not_utf_8_keep_their_own_ids(tmp_path: Path) -> None:
    names = [raw.decode("utf-8", "surrogateescape") for raw in (b"caf\xe9.wav", b"caf\xe8.wav")]
    (tmp_path / "s.tar").write_bytes(tar_bytes(dict.fromkeys(names, b"x")))
    items = listed(tmp_path / "s.tar")
    assert [item.key for item in items] == ["caf\ufffd", "caf\ufffd"]
    assert len({item.clip_id for item in items}) == 2


@pytest.mark.parametrize(
    ("keep", "whole", "words"),
    [
        (512 * 7 + 100, 2, "damaged or cut short"),
        (512 * 9, 3, "without the end-of-archive marker"),
        (512 * 9 + 70, 3, "header in it is damaged"),
    ],
)
def test_a_tar_cut_short_gives_what_it_had_and_one_fault(tmp_path: Path, keep: int, whole: int, words: str) -> None:
    data = tar_bytes({f"c{i}.wav": bytes(700) for i in range(6)})
    (tmp_path / "s.tar").write_bytes(data[:keep])
    *recordings, fault = listed(tmp_path / "s.tar")
    assert [recording.key for recording in recordings] == [f"c{i}" for i in range(whole)]
    assert (fault.reason, fault.ordinal) == ("shard_truncated", whole)
    assert words in fault.message


def test_a_header_damaged_in_the_middle_does_not_end_the_tar_in_silence(tmp_path: Path) -> None:
    data = bytearray(tar_bytes({f"c{i}.wav": bytes(700) for i in range(6)}))
    data[512 * 6 : 512 * 6 + 400] = b"\xff" * 400
    (tmp_path / "s.tar").write_bytes(data)
    assert outline(listed(tmp_path / "s.tar"))[2:] == [("s.tar", "shard_truncated")]


@pytest.mark.parametrize("data", [b"", b"this is no tar" * 99])
def test_what_is_no_tar_is_one_fault(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "s.tar").write_bytes(data)
    assert outline(listed(tmp_path / "s.tar")) == [("s.tar", "shard_unreadable")]


def test_an_empty_tar_has_no_clips(tmp_path: Path) -> None:
    (tmp_path / "s.tar").write_bytes(tar_bytes({}))
    assert listed(tmp_path / "s.tar") == []


def test_parquet_by_hugging_faces_convention(tmp_path: Path) -> None:
    write_files(tmp_path, ["beside/a.wav"])
    audio = [
        {"bytes": b"0", "path": "x/0.wav"},
        {"bytes": b"1", "path": None},
        {"bytes": None, "path": "beside/a.wav"},
        {"bytes": None, "path": "gone.wav"},
        {"bytes": None, "path": "/etc/passwd"},
        {"bytes": None, "path": "../up.wav"},
        {"bytes": None, "path": None},
        None,
        {"bytes": b"8", "path": "/home/someone/8.wav"},
    ]
    write_parquet(tmp_path / "t.parquet", [{"audio": cell, "n": i} for i, cell in enumerate(audio)])
    items = listed(tmp_path / "t.parquet")
    assert outline(items) == [
        ("x/0.wav", b"0"),
        ("t-1", b"1"),
        ("beside/a.wav", b"beside/a.wav"),
        ("gone.wav", "missing"),
        ("passwd", "missing"),
        ("../up.wav", "missing"),
        ("t-6", "null_audio"),
        ("t-7", "null_audio"),
        ("8.wav", b"8"),
    ]
    assert items[1].metadata == {"n": 1}
    assert items[8].clip_id == clip_id("t.parquet\x008")


def test_parquet_columns_of_every_kind_become_json(tmp_path: Path) -> None:
    moment = datetime.datetime(2024, 5, 6, 7, 8, 9, 10, tzinfo=datetime.timezone.utc)
    table = pa.table(
        {
            "bytes": pa.array([b"x"], pa.large_binary()),
            "label": pa.array([1]),
            "nan": [float("nan")],
            "ns": pa.array([1_700_000_000_000_000_001], pa.timestamp("ns", "Europe/Berlin")),
            "us": pa.array([moment], pa.timestamp("us")),
            "day": [moment.date()],
            "span": [datetime.timedelta(seconds=1.5)],
            "exact": [decimal.Decimal("1.50")],
            "raw": [b"\xff"],
            "category": pa.array(["dog"]).dictionary_encode(),
            "nested": [[1, 2]],
        }
    )
    features = {"label": {"names": ["cat", "dog"], "_type": "ClassLabel"}}
    table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    pq.write_table(table, tmp_path / "t.parquet")
    (item,) = listed(tmp_path / "t.parquet")
    assert json.loads(json.dumps(item.metadata, allow_nan=False)) == {
        "label": "dog",
        "nan": None,
        "ns": "2023-11-14T22:13:20+00:00",
        "us": "2024-05-06T07:08:09.000010",
        "day": "2024-05-06",
        "span": 1.5,
        "exact": "1.50",
        "raw": "/w==",
        "category": "dog",
        "nested": [1, 2],
    }


def test_a_damaged_row_group_costs_its_own_rows_only(tmp_path: Path) -> None:
    damaged_inputs(tmp_path)
    items = listed(tmp_path / "bad.parquet")
    *lost, null = [item for item in items if isinstance(item, ReadFault)]
    assert [fault.ordinal for fault in lost] == [4, 5, 6, 7]
    assert (null.ordinal, null.reason) == (9, "null_audio")
    assert lost[0].message.startswith("bad.parquet, row 4: ")
    assert lost[0].message.endswith("the row is lost")
    assert [item.ordinal for item in items if isinstance(item, RawRecording)] == [0, 1, 2, 3, 8, 10, 11]


def test_a_parquet_file_without_its_footer_is_one_fault(tmp_path: Path) -> None:
    write_files(tmp_path, ["a.wav", "t.parquet"])
    items = listed(tmp_path)
    assert outline(items) == [("a.wav", b"a.wav"), ("t.parquet", "shard_unreadable")]


def test_a_parquet_file_without_audio_is_skipped(tmp_path: Path) -> None:
    write_files(tmp_path, ["a.wav"])
    pq.write_table(pa.table({"label": ["dog"], "audio": ["a.wav"]}), tmp_path / "labels.parquet")
    listing = list_input(str(tmp_path))
    assert listing.left_out == {".parquet without audio": "labels.parquet"}


@pytest.mark.parametrize(
    ("column", "kind"), [(pa.array([1, 2]), "int64"), (pa.nulls(2), "null"), (pa.array([[0.5], None]), "list<")]
)
def test_a_parquet_file_whose_audio_is_of_a_wrong_type_is_a_fault_that_says_so(
    tmp_path: Path, column: pa.Array, kind: str
) -> None:
    pq.write_table(pa.table({"audio": column}), tmp_path / "a.parquet")
    (fault,) = listed(tmp_path)
    assert isinstance(fault, ReadFault)
    assert fault.reason == "shard_unreadable"
    assert f"'audio' is of {kind}" in fault.message


def test_cells_that_python_has_no_value_for_do_not_cost_the_rows(tmp_path: Path) -> None:
    """Text that is not UTF-8, as a damaged file holds it, and a date after the year 9999."""
    text = pa.array([b"caf\xe9", b"dog"], pa.binary()).view(pa.string())
    audio = pa.StructArray.from_arrays([pa.array([b"1", b"2"]), text], names=["bytes", "path"])
    when = pa.array([2**60, 0], pa.timestamp("ms"))
    pq.write_table(pa.table({"audio": audio, "note": text, "when": when}), tmp_path / "a.parquet")
    one, two = listed(tmp_path)
    assert isinstance(one, RawRecording)
    assert isinstance(two, RawRecording)
    assert (one.data, one.key, one.metadata["note"]) == (b"1", "caf\ufffd", "caf\ufffd")
    assert (two.data, two.metadata["when"]) == (b"2", "1970-01-01T00:00:00")
    assert str(2**60) in one.metadata["when"] or one.metadata["when"].startswith("-")


def test_a_pipe_named_as_a_clip_or_an_archive_is_a_fault_and_is_not_waited_for(tmp_path: Path) -> None:
    for name in ("a.wav", "b.tar", "c.parquet"):
        os.mkfifo(tmp_path / name)
    faults = listed(tmp_path)
    assert [fault.reason for fault in faults if isinstance(fault, ReadFault)] == ["unreadable"] * 3
    assert all("pipe" in fault.message for fault in faults if isinstance(fault, ReadFault))


def test_a_manifest_s_row_that_no_file_can_be_called_is_a_fault_of_its_own(tmp_path: Path) -> None:
    write_files(tmp_path, ["a.wav"])
    (tmp_path / "recordings.jsonl").write_text(
        '{"path": "nul\\u0000.wav"}\n{"path": "half \\ud800.wav"}\n{"path": "a.wav"}\n'
    )
    *faults, recording = listed(tmp_path / "recordings.jsonl")
    assert [fault.reason for fault in faults if isinstance(fault, ReadFault)] == ["missing", "missing"]
    assert isinstance(recording, RawRecording)


def test_a_manifest_s_row_of_an_unknown_scheme_is_named_before_anything_is_read(tmp_path: Path) -> None:
    (tmp_path / "recordings.csv").write_text("path\na.wav\nnowhere://bucket/b.wav\n")
    with pytest.raises(InputError, match=r"recordings.csv, line 3: nowhere://bucket/b.wav: .*nowhere"):
        list_input(str(tmp_path / "recordings.csv"))
