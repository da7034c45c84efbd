"""Every file of an input is a recording, or about one, or counted by its kind."""

from __future__ import annotations

import os
import struct
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.inputs.listing import list_input
from pipeline.inputs.readers import read_shard
from pipeline.inputs.recording import RawRecording, ReadFault
from pipeline.inputs.shards import NOT_DRAWN, clip_id
from pipeline.inputs.sniff import SNIFFED_BYTES, kind_by_content
from pipeline.storage.errors import InputError
from schemas.draws import Sample, rank_of
from schemas.run_config import ContentConfig
from tests.audio.make import encode_av, tone
from tests.inputs.make import listed, read_all, tar_bytes, write_files, write_parquet
from tests.s3 import S3Server


def keys(items: list[RawRecording | ReadFault]) -> list[str]:
    return [item.key for item in items]


def mp3_frames(count: int) -> bytes:
    return (b"\xff\xfb\x90\x00" + bytes(413)) * count


def adts_frames(count: int) -> bytes:
    return (bytes([0xFF, 0xF1, 0x50, 0x80, 0x02, 0x1F, 0xFC]) + bytes(9)) * count


SOUNDS = {
    "wav": b"RIFF\0\0\0\0WAVE",
    "aiff": b"FORM\0\0\0\0AIFF",
    "flac": b"fLaC\0\0\0\x22",
    "ogg": b"OggS\0\2",
    "mp3 with tags": b"ID3\3\0",
    "bare mp3": mp3_frames(4),
    "adts": adts_frames(4),
    "mp4": b"\0\0\0\x18ftypM4A ",
    "mov": b"\0\0\0\x08wide\0\0\0\0mdat",
    "matroska": b"\x1aE\xdf\xa3\x01",
    "transport stream": (b"\x47" + bytes(187)) * 30,
    "sphere": b"NIST_1A\n   1024\n",
    "amr": b"#!AMR\n",
    "wavpack": b"wvpk\xe2\x0e\0\0",
    "au": b".snd\0\0\0\x18",
    "caf": b"caff\0\1",
}
OTHERS = {
    "text": (b"just words, and more\n", "text"),
    "typescript": (b"const a = 1;\n" * 99, "text"),
    "zip": (b"PK\x03\x04rest", "zip archive"),
    "png": (b"\x89PNG\r\n", "image"),
    "nothing": (b"", "empty file"),
    "noise": (bytes(range(128, 256)) * 4, "unknown contents"),
    "pointer": (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer"),
    "one sync word": (b"\xff\xfb\x90\x00" + b"\1" * 2000, "unknown contents"),
}


@pytest.mark.parametrize("name", SOUNDS)
def test_sound_is_told_by_its_first_bytes(name: str) -> None:
    assert kind_by_content((SOUNDS[name] + bytes(64))[:SNIFFED_BYTES]) == "audio"


@pytest.mark.parametrize(
    ("container", "codec"),
    [
        *(("wv", "wavpack"), ("tta", "tta"), ("caf", "pcm_s16be"), ("w64", "pcm_s16le"), ("au", "pcm_s16be")),
        *(("aiff", "pcm_s16be"), ("flv", "libmp3lame"), ("ac3", "ac3"), ("mpegts", "aac")),
        *(("mp3", "libmp3lame"), ("adts", "aac"), ("matroska", "libopus"), ("mov", "aac"), ("ogg", "libopus")),
    ],
)
def test_what_ffmpeg_writes_is_sound(container: str, codec: str) -> None:
    data = encode_av(tone(440, 0.5, 48_000), 48_000, container, codec)
    assert kind_by_content(data[:SNIFFED_BYTES]) == "audio"


@pytest.mark.parametrize("name", OTHERS)
def test_what_is_no_sound_has_a_word(name: str) -> None:
    data, kind = OTHERS[name]
    assert kind_by_content(data) == kind


def test_files_with_unknown_suffixes_are_recordings_by_their_contents_or_counted(tmp_path: Path) -> None:
    for name, data in {**SOUNDS, **{name: data for name, (data, _) in OTHERS.items()}}.items():
        (tmp_path / f"{name}.2021.05.03").write_bytes(data)
    (tmp_path / "talk.ts").write_bytes(SOUNDS["transport stream"])
    (tmp_path / "code.ts").write_bytes(OTHERS["typescript"][0])
    listing = list_input(str(tmp_path))
    assert keys(read_all(listing)) == sorted([*(f"{name}.2021.05.03" for name in SOUNDS), "talk.ts"])
    assert listing.counts == Counter([*(kind for _, kind in OTHERS.values()), "text"])


@pytest.mark.parametrize("suffix", ["sph", "spx", "mkv", "mov", "avi", "voc", "m2ts", "wma", "dsf", "MOV"])
def test_suffixes_that_ffmpeg_reads_are_recordings_whatever_they_hold(tmp_path: Path, suffix: str) -> None:
    write_files(tmp_path, [f"a.{suffix}"])
    assert keys(listed(tmp_path)) == [f"a.{suffix}"]


def test_folders_behind_links_are_followed_and_loops_are_counted(tmp_path: Path) -> None:
    write_files(tmp_path / "elsewhere", ["a.wav", "deep/b.wav"])
    write_files(tmp_path / "in", ["c.wav", "sub/d.wav"])
    os.symlink(tmp_path / "elsewhere", tmp_path / "in" / "more")
    os.symlink(tmp_path / "in", tmp_path / "in" / "sub" / "back")
    os.symlink(tmp_path / "gone.wav", tmp_path / "in" / "dangling.wav")
    os.symlink(tmp_path / "in" / "c.wav", tmp_path / "in" / "sub" / "same.wav")
    listing = list_input(str(tmp_path / "in"))
    items = read_all(listing)
    assert keys(items) == ["c.wav", "dangling.wav", "more/a.wav", "more/deep/b.wav", "sub/d.wav", "sub/same.wav"]
    assert [item.key for item in items if isinstance(item, ReadFault)] == ["dangling.wav"]
    assert listing.counts == {"link back to a folder that it lies in": 1}
    os.symlink(tmp_path / "in", tmp_path / "link")
    assert keys(listed(tmp_path / "link")) == keys(items)
    assert keys(listed(tmp_path / "in" / "mor*")) == ["more/a.wav", "more/deep/b.wav"]


def test_sidecars_of_loose_files_lie_beside_them(tmp_path: Path) -> None:
    write_files(tmp_path, ["2021.05.03_10.20.30.wav", "a.wav", "a.flac", "b.sound", "lone.json", "b.txt"])
    (tmp_path / "b.sound").write_bytes(SOUNDS["wav"])
    for name, text in (
        ("2021.05.03_10.20.30.json", '{"n": 1}'),
        ("2021.json", '{"n": 9}'),
        ("a.json", '{"n": 2}'),
        ("a.wav.cls", "dog"),
        ("b.label", "cat"),
    ):
        (tmp_path / name).write_text(text)
    listing = list_input(str(tmp_path))
    metadata = {item.key: item.metadata for item in read_all(listing) if isinstance(item, RawRecording)}
    assert metadata == {
        "2021.05.03_10.20.30.wav": {"n": 1},
        "a.wav": {"n": 2, "cls": "dog"},
        "a.flac": {"n": 2},
        "b.sound": {"label": "cat", "txt": "b.txt"},
    }
    assert listing.counts == {".json": 2}


def test_a_table_that_describes_its_folder_is_not_left_out(tmp_path: Path) -> None:
    write_files(tmp_path, ["train/a.wav"])
    pq.write_table(pa.table({"file_name": ["a.wav"], "label": ["owl"]}), tmp_path / "train" / "metadata.parquet")
    listing = list_input(str(tmp_path))
    assert [item.metadata for item in read_all(listing) if isinstance(item, RawRecording)] == [{"label": "owl"}]
    assert listing.counts == {}


ODD = ["a#b.wav", "a?b.wav", "a%20b.wav", "a[1].wav", "d#1/x.wav", "d?2/x.wav", "d%3/x.wav", "d[4]/x.wav"]


def test_signs_of_urls_and_patterns_are_letters_of_names(tmp_path: Path) -> None:
    write_files(tmp_path, ODD)
    assert {item.key: item.data.decode() for item in listed(tmp_path)} == dict(zip(ODD, ODD, strict=True))  # type: ignore[union-attr]
    for name in ODD:
        (item,) = listed(tmp_path / name)
        assert item.data == name.encode()  # type: ignore[union-attr]
    for folder in ("d#1", "d?2", "d%3", "d[4]"):
        assert keys(listed(tmp_path / folder)) == ["x.wav"]
    (tmp_path / "m[1]#?.csv").write_text("path\n" + "".join(f"{name}\n" for name in ODD))
    assert keys(listed(tmp_path / "m[1]#?.csv")) == ODD


def test_signs_of_urls_and_patterns_are_letters_of_names_on_s3(s3_server: S3Server) -> None:
    write_files(s3_server.bucket_dir / "odd", ODD)
    (s3_server.bucket_dir / "odd" / "t[1]#.tar").write_bytes(tar_bytes({"k?.wav": b"k"}))
    url = f"{s3_server.bucket_url}/odd"
    whole = [f"{url}/{name}" for name in ODD]
    for number, written in enumerate((whole, ODD, whole + ODD), start=1):
        (s3_server.bucket_dir / "odd" / f"m#{number}.csv").write_text("\n".join(["uri", *written]))
    assert sorted(keys(read_all(list_input(url)))) == sorted([*ODD, "k?"])
    for name in [*ODD, "t[1]#.tar"]:
        (item,) = read_all(list_input(f"{url}/{name}"))
        assert item.data in (name.encode(), b"k")  # type: ignore[union-attr]
    for folder in ("d#1", "d?2", "d%3", "d[4]"):
        assert keys(read_all(list_input(f"{url}/{folder}"))) == ["x.wav"]
    # Both ways of writing a file are one recording.
    for number, written in ((1, whole), (2, ODD), (3, whole)):
        items = read_all(list_input(f"{url}/m#{number}.csv"))
        assert [item.data.decode() for item in items] == ODD  # type: ignore[union-attr]
        assert keys(items) == written


def many(folder: Path) -> Path:
    """Recordings in files, tars and Parquet: 40, 30 and 30."""
    write_files(folder, [f"f/{i:03d}.wav" for i in range(40)])
    members = [one for i in range(30) for one in ((f"t/{i:03d}.wav", b"%d" % i), (f"t/{i:03d}.cls", b"x"))]
    (folder / "a.tar").write_bytes(tar_bytes(members))
    write_parquet(folder / "b.parquet", [{"audio": {"bytes": b"%d" % i, "path": f"{i}.wav"}} for i in range(30)])
    return folder


@pytest.mark.parametrize(("sample", "count"), [("0.3", None), ("17", 17), ("1.0", 100), ("1000", 100), ("1", 1)])
def test_a_sample_is_the_same_in_every_run_with_the_ids_of_the_whole(
    tmp_path: Path, sample: str, count: int | None
) -> None:
    whole = {item.clip_id: item for item in listed(many(tmp_path))}
    listing = list_input(str(tmp_path), sample=sample)
    left_out: Counter[str] = Counter()
    drawn = [item for shard in listing.shards for item in read_shard(listing.root_url, shard, left_out=left_out)]
    assert {item.clip_id for item in drawn} <= whole.keys()
    assert all(item.data == whole[item.clip_id].data for item in drawn)  # type: ignore[union-attr]
    ranks = sorted(map(rank_of, whole))
    limit = count if count is not None else sum(rank < 0.3 * 2**64 for rank in ranks)
    assert sorted(rank_of(item.clip_id) for item in drawn) == ranks[:limit]
    assert len(drawn) + listing.not_drawn + left_out[NOT_DRAWN] == 100
    assert {rank_of(item.clip_id) for item in read_all(list_input(str(tmp_path), sample="5"))} == set(ranks[:5])


def test_reading_a_sample_from_k_is_reading_all_of_it_without_the_first_k(tmp_path: Path) -> None:
    listing = list_input(str(many(tmp_path)), sample="0.3")
    for shard in listing.shards:
        whole = list(read_shard(listing.root_url, shard))
        for start in range(31):
            rest = list(read_shard(listing.root_url, shard, start))
            assert rest == [item for item in whole if item.ordinal >= start]


def test_a_sample_of_nothing_is_an_error(tmp_path: Path) -> None:
    write_files(tmp_path, ["a.wav"])
    assert rank_of(clip_id("a.wav")) > 2**64 * 0.0001
    with pytest.raises(InputError, match=r"the sample 0\.0001 draws none of its 1 recordings"):
        list_input(str(tmp_path), sample="0.0001")


@pytest.mark.parametrize(
    ("given", "text"), [(1.0, "1.0"), ("0.010", "0.01"), (5000, "5000"), (1e-7, "1e-07"), ("1", "1")]
)
def test_a_sample_has_one_spelling_and_keeps_its_meaning(given: object, text: str) -> None:
    assert ContentConfig(sample=given).sample == text  # type: ignore[arg-type]
    assert Sample.parse(text) == Sample.parse(str(given))


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "2.0", "half", "", "nan", "10%"])
def test_a_sample_that_cannot_be_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected a number of recordings, as in 5000, or a share"):
        Sample.parse(text)


def test_what_is_not_drawn_of_a_parquet_file_is_not_read(tmp_path: Path) -> None:
    many(tmp_path)
    listing = list_input(str(tmp_path / "b.parquet"), sample="1")
    (shard, *_) = listing.shards
    (drawn,) = (item for one in listing.shards for item in read_shard(listing.root_url, one))
    # All groups of rows but the drawn one's are made unreadable.
    assert isinstance(drawn, RawRecording)
    row = int(drawn.data)
    path = tmp_path / "b.parquet"
    metadata = pq.ParquetFile(path).metadata
    with path.open("r+b") as file:
        for group in range(metadata.num_row_groups):
            if group != row // 3:
                file.seek(metadata.row_group(group).column(0).data_page_offset)
                file.write(struct.pack(">Q", 2**64 - 1))
    assert list(read_shard(listing.root_url, shard)) == [drawn]
