"""Tars as people make them: which members are recordings, and which sidecars are theirs."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pytest

from pipeline.inputs.labels import GroundTruth
from pipeline.inputs.listing import list_input
from pipeline.inputs.names import names_of
from pipeline.inputs.readers import read_shard
from pipeline.inputs.recording import RawRecording, ReadFault
from pipeline.inputs.shards import clip_id
from tests.inputs.make import listed, tar_bytes

WAV = b"RIFF\x24\0\0\0WAVEfmt "


def read(path: Path, members: list[tuple[str, bytes]]) -> list[RawRecording | ReadFault]:
    path.write_bytes(tar_bytes(members))
    return listed(path)


def labels(items: list[RawRecording | ReadFault]) -> dict[str, tuple[str, ...]]:
    truth = GroundTruth()
    return {item.key: truth.segments_of(item)[0].labels for item in items if isinstance(item, RawRecording)}


def heard(items: list[RawRecording | ReadFault]) -> dict[str, bytes | str]:
    return {item.key: item.data if isinstance(item, RawRecording) else item.reason for item in items}


def test_dots_in_names_are_no_suffixes_and_each_recording_has_its_own_sidecar(tmp_path: Path) -> None:
    members = [
        ("2021.05.03_10.20.30.wav", b"first"),
        ("2021.05.03_10.20.30.json", b'{"label": "owl"}'),
        ("2021.05.03_10.21.30.wav", b"second"),
        ("2021.05.03_10.21.30.json", b'{"label": "fox"}'),
    ]
    items = read(tmp_path / "s.tar", members)
    assert heard(items) == {"2021.05.03_10.20.30": b"first", "2021.05.03_10.21.30": b"second"}
    assert labels(items) == {"2021.05.03_10.20.30": ("owl",), "2021.05.03_10.21.30": ("fox",)}


@pytest.mark.parametrize("suffix", ["json", "cls", "label"])
def test_plain_names_keep_their_keys_and_ids(tmp_path: Path, suffix: str) -> None:
    text = b'{"label": "rain"}' if suffix == "json" else b"rain\n"
    items = read(tmp_path / "s.tar", [("train/0002.wav", b"x"), (f"train/0002.{suffix}", text)])
    assert [(item.key, item.clip_id) for item in items] == [("train/0002", clip_id("s.tar\0train/0002"))]
    assert labels(items) == {"train/0002": ("rain",)}


@pytest.mark.parametrize("order", [0, 1, 2, 3])
def test_a_sidecar_belongs_to_its_recording_wherever_it_lies(tmp_path: Path, order: int) -> None:
    members = [("t/b.wav", b"b"), ("t/a.cls", b"dog"), ("t/a.wav", b"a"), ("t/c.wav", b"c"), ("t/b.cls", b"cat")]
    items = read(tmp_path / "s.tar", members[order:] + members[:order])
    assert heard(items) == {"t/a": b"a", "t/b": b"b", "t/c": b"c"}
    assert labels(items) == {"t/a": ("dog",), "t/b": ("cat",), "t/c": ("t",)}


def test_several_sounds_of_one_name_are_several_recordings_that_share_its_sidecars(tmp_path: Path) -> None:
    members = [("a.flac", b"1"), ("a.wav", b"2"), ("a.cls", b"dog"), ("a.wav.json", b'{"take": 2}'), ("a.wav", b"3")]
    items = read(tmp_path / "s.tar", members)
    assert heard(items) == {"a": b"1", "a.wav": b"2", "a#2": b"3"}
    assert labels(items) == dict.fromkeys(("a", "a.wav", "a#2"), ("dog",))
    assert [item.metadata.get("take") for item in items if isinstance(item, RawRecording)] == [None, 2, 2]


def test_a_name_that_comes_again_has_the_sidecars_that_come_with_it(tmp_path: Path) -> None:
    members = [("a.wav", b"1"), ("a.cls", b"dog"), ("a.wav", b"2"), ("a.cls", b"cat"), ("b.wav", b"3")]
    items = read(tmp_path / "s.tar", members)
    assert heard(items) == {"a": b"1", "a#2": b"2", "b": b"3"}
    assert labels(items) == {"a": ("dog",), "a#2": ("cat",), "b": ()}


def test_a_sidecar_of_webdatasets_key_is_of_all_its_sounds_that_have_none_of_their_own(tmp_path: Path) -> None:
    members = [
        *(("1.json", b'{"label": "both"}'), ("1.left.wav", b"l"), ("1.right.wav", b"r"), ("1.right.cls", b"own")),
        *(("2.left.wav", b"2"), ("2.json", b'{"label": "two"}')),
    ]
    items = read(tmp_path / "s.tar", members)
    assert labels(items) == {"1.left": ("both",), "1.right": ("own",), "2.left": ("two",)}


def test_sidecars_without_a_sound_are_a_row_and_other_members_are_counted(tmp_path: Path) -> None:
    members = [
        ("a.wav", b"1"),
        ("b.json", b"{}"),
        ("c.npy", b"x"),
        ("README.md", b"hi"),
        ("._a.wav", b"mac"),
        ("d.x", b""),
    ]
    (tmp_path / "s.tar").write_bytes(tar_bytes(members))
    left_out: Counter[str] = Counter()
    listing = list_input(str(tmp_path / "s.tar"))
    items = list(read_shard(listing.root_url, listing.shards[0], left_out=left_out))
    assert heard(items) == {"a": b"1", "b": "no_audio"}
    assert left_out == {".npy": 1, ".md": 1, "hidden": 1, "empty file": 1}


@pytest.mark.parametrize("packed", [False, True])
def test_what_has_an_unknown_suffix_or_none_is_told_by_its_contents(tmp_path: Path, packed: bool) -> None:
    sound = WAV + bytes(9000)
    members = [
        ("t/0001", sound),
        ("t/0001.cls", b"dog"),
        ("t/2.sound", sound),
        ("t/2.cls", b"cat"),
        ("t/3.dat", b"\1\2\0"),
    ]
    data = tar_bytes(members)
    path = tmp_path / ("s.tar.gz" if packed else "s.tar")
    path.write_bytes(gzip.compress(data) if packed else data)
    items = listed(path)
    assert heard(items) == {"t/0001": sound, "t/2": sound}
    assert labels(items) == {"t/0001": ("dog",), "t/2": ("cat",)}


@pytest.mark.parametrize("place", [0, 3])
def test_metadata_csv_in_a_tar_s_folder_has_its_labels(tmp_path: Path, place: int) -> None:
    members = [("train/a.wav", b"1"), ("train/b.wav", b"2"), ("test/c.wav", b"3")]
    members.insert(place, ("train/metadata.csv", b"file_name,label\na.wav,dog\n"))
    assert labels(read(tmp_path / "s.tar", members)) == {"train/a": ("dog",), "train/b": (), "test/c": ("test",)}
    members[place] = ("train/metadata.csv", b"file_name,start,end,label\na.wav,0,1,dog\na.wav,1,2,cat\n")
    first = read(tmp_path / "s.tar", members)[0]
    assert [(one.start_s, one.metadata["label"]) for one in first.segments] == [(0, "dog"), (1, "cat")]
    members[place] = ("train/metadata.csv", b"file_name,label\na.wav,dog,more\n")
    items = read(tmp_path / "s.tar", members)
    assert labels(items) == {"train/a": (), "train/b": (), "test/c": ("test",)}
    assert "train/metadata.csv, line 2" in items[0].metadata["metadata_error"]  # type: ignore[union-attr]


def linked(path: Path, links: list[tuple[str, bytes, str]], mode: str = "w", last: bool = True) -> Path:
    """A tar of `d/a.wav` and `d/a.json`, and links behind them or before."""
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for step in ("files", "links") if last else ("links", "files"):
            for name, kind, target in links if step == "links" else []:
                member = tarfile.TarInfo(name)
                member.type, member.linkname = kind, target
                archive.addfile(member)
            for name, data in (("d/a.wav", b"sound"), ("d/a.json", b'{"label": "dog"}')) if step == "files" else ():
                member = tarfile.TarInfo(name)
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
    return path


LINKS = [
    ("e/hard.wav", tarfile.LNKTYPE, "d/a.wav"),
    ("e/soft.wav", tarfile.SYMTYPE, "../d/a.wav"),
    ("e/twice.wav", tarfile.SYMTYPE, "soft.wav"),
    ("e/hard.json", tarfile.LNKTYPE, "./d/a.json"),
]


@pytest.mark.parametrize("last", [True, False])
def test_links_to_members_are_heard_with_their_own_names_and_sidecars(tmp_path: Path, last: bool) -> None:
    items = listed(linked(tmp_path / "s.tar", LINKS, last=last))
    assert heard(items) == dict.fromkeys(("d/a", "e/hard", "e/soft", "e/twice"), b"sound")
    assert labels(items) == {"d/a": ("dog",), "e/hard": ("dog",), "e/soft": ("e",), "e/twice": ("e",)}


@pytest.mark.parametrize("target", ["/etc/passwd", "../../a.wav", "gone.wav", "loop.wav"])
def test_a_link_that_leads_to_no_member_is_a_row_in_errors(tmp_path: Path, target: str) -> None:
    items = listed(linked(tmp_path / "s.tar", [("d/loop.wav", tarfile.SYMTYPE, target)]))
    assert heard(items) == {"d/a": b"sound", "d/loop": "missing"}


def test_links_in_a_compressed_archive_are_rows_in_errors_that_say_what_to_do(tmp_path: Path) -> None:
    items = listed(linked(tmp_path / "s.tar.gz", LINKS[:3], "w:gz"))
    assert heard(items) == {"d/a": b"sound", "e/hard": "missing", "e/soft": "missing", "e/twice": "missing"}
    assert all("compressed archive: unpack" in item.message for item in items if isinstance(item, ReadFault))


def zstd(data: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(data)
    return bytes(sink.getvalue())


@pytest.mark.parametrize(
    ("name", "pack"),
    [
        ("s.tar.gz", gzip.compress),
        ("s.tgz", gzip.compress),
        ("s.tar.bz2", bz2.compress),
        ("s.txz", lzma.compress),
        ("s.tar.zst", zstd),
        ("s.tar", gzip.compress),
        ("s.backup", gzip.compress),
    ],
)
def test_compressed_tars_are_read_and_resumed_as_plain_ones_are(tmp_path: Path, name: str, pack) -> None:  # type: ignore[no-untyped-def]
    members = [item for i in range(4) for item in ((f"k/{i}.wav", bytes([i]) * 3000), (f"k/{i}.cls", b"dog"))]
    (tmp_path / name).write_bytes(pack(tar_bytes(members)))
    listing = list_input(str(tmp_path))
    (shard,) = listing.shards
    items = list(read_shard(listing.root_url, shard))
    assert heard(items) == {f"k/{i}": bytes([i]) * 3000 for i in range(4)}
    assert set(labels(items).values()) == {("dog",)}
    assert [list(read_shard(listing.root_url, shard, start)) for start in (1, 3)] == [items[1:], items[3:]]


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
def test_a_compressed_tar_cut_short_gives_what_it_had_and_one_fault(tmp_path: Path, pack) -> None:  # type: ignore[no-untyped-def]
    noise = bytes(hash((i, i * 7919)) % 251 for i in range(40_000))
    whole = pack(tar_bytes({f"{i}.wav": noise[i:] for i in range(9)}))
    (tmp_path / "s.tar.gz").write_bytes(whole[: len(whole) // 2])
    *recordings, fault = listed(tmp_path / "s.tar.gz")
    assert isinstance(fault, ReadFault)
    assert fault.reason in ("shard_truncated", "shard_unreadable")
    assert all(isinstance(item, RawRecording) for item in recordings)


PACKED = [lambda data: data, gzip.compress, bz2.compress, lzma.compress, zstd]


@pytest.mark.parametrize("pack", PACKED)
def test_tars_that_cat_has_joined_are_read_to_the_last(tmp_path: Path, pack) -> None:  # type: ignore[no-untyped-def]
    one = tar_bytes([("1.wav", b"a"), ("1.cls", b"dog")])
    two = tar_bytes([("1.wav", b"b"), ("1.cls", b"cat"), ("2.wav", b"c")])
    path = tmp_path / "s.tar"
    path.write_bytes(pack(one) + pack(two) + pack(tar_bytes([("3.wav", b"d")])))
    items = listed(path)
    assert heard(items) == {"1": b"a", "1#2": b"b", "2": b"c", "3": b"d"}
    assert labels(items) == {"1": ("dog",), "1#2": ("cat",), "2": (), "3": ()}
    listing = list_input(str(path))
    assert [name.key for name in names_of(listing.root_url, listing.shards)] == ["1", "1#2", "2", "3"]


def test_what_follows_an_archive_is_no_member_and_a_damaged_archive_is_said(tmp_path: Path) -> None:
    one, two = tar_bytes([("1.wav", b"a")]), bytearray(tar_bytes([("2.wav", b"b")]))
    path = tmp_path / "s.tar"
    for rubbish in (b"x", b"rubbish" * 1000, b"1.wav" + bytes(507) + b"y" * 512):
        path.write_bytes(one + rubbish)
        assert heard(listed(path)) == {"1": b"a"}
    two[0:1] = b"9"
    for behind in (bytes(two), gzip.compress(bytes(5000))):
        path.write_bytes(one + behind)
        (recording, fault) = listed(path)
        assert isinstance(recording, RawRecording)
        assert isinstance(fault, ReadFault)
        assert (fault.reason, fault.ordinal) == ("shard_truncated", 1)


def test_names_are_those_of_the_recordings_and_no_audio_is_held(tmp_path: Path) -> None:
    path = linked(tmp_path / "s.tar", LINKS)
    listing = list_input(str(path))
    named = list(names_of(listing.root_url, listing.shards))
    assert [(one.clip_id, one.key) for one in named] == [(item.clip_id, item.key) for item in listed(path)]
    assert [one.name for one in named] == ["d/a.wav", "e/hard.wav", "e/soft.wav", "e/twice.wav"]
    assert {one.shard for one in named} == {"s"}


def test_names_that_lead_out_of_the_archive_are_names_only(tmp_path: Path) -> None:
    items = read(tmp_path / "s.tar", [("/abs/a.wav", b"1"), ("../b.wav", b"2"), ("x/../../c.wav", b"3")])
    assert heard(items) == {"/abs/a": b"1", "../b": b"2", "../c": b"3"}


def test_a_pointer_of_git_lfs_is_called_one(tmp_path: Path) -> None:
    (tmp_path / "s.tar").write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n")
    (fault,) = listed(tmp_path / "s.tar")
    assert isinstance(fault, ReadFault)
    assert "Git LFS pointer" in fault.message
