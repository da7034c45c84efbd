from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.inputs.file_reader import group_files
from pipeline.inputs.listing import list_input
from pipeline.inputs.recording import RawRecording
from pipeline.inputs.shards import Entry, clip_id
from pipeline.storage.errors import InputError
from tests.inputs.make import listed, mixture, read_all, write_files


def keys(items: list) -> list[str]:
    return [item.key for item in items]


def test_a_folder_at_any_depth_without_hidden_files(tmp_path: Path) -> None:
    write_files(tmp_path, ["b.wav", "x y/é/a.FLAC", ".git/c.wav", "d/._e.wav", "readme.md"])
    listing = list_input(str(tmp_path))
    assert keys(read_all(listing)) == ["b.wav", "x y/é/a.FLAC"]
    assert listing.counts == {".md": 1, "hidden": 2}
    assert listing.describe() == (
        "2 loose files in 1 shard; left out 3 files of other kinds: 1 .md (readme.md), 2 hidden (.git/c.wav)"
    )


def test_a_mixture_of_files_tars_and_parquet(tmp_path: Path) -> None:
    listing = list_input(str(mixture(tmp_path)), rows_per_shard=3)
    assert [shard.kind for shard in listing.shards] == ["files", "tar", "parquet", "parquet", "parquet"]
    assert len({shard.shard_id for shard in listing.shards}) == 5
    items = read_all(listing)
    assert all(isinstance(item, RawRecording) for item in items)
    assert keys(items)[:4] == ["loose/a b.wav", "loose/ünï.ogg", "k/one", "k/two"]
    assert items[0].metadata == {"label": "dog", "take": 1}
    assert listing.left_out == {".txt": "notes.txt", "hidden": ".hidden/x.wav"}


def test_single_files_and_patterns_keep_the_clip_ids_of_the_folder(tmp_path: Path) -> None:
    mixture(tmp_path)
    whole = {item.key: item.clip_id for item in listed(tmp_path)}
    for part in ("shard-000.tar", "table.parquet", "*.tar", "*.parquet", "l*se"):
        items = listed(tmp_path / part)
        assert items
        assert all(whole[item.key] == item.clip_id for item in items)


def test_how_files_are_grouped_changes_no_clip_id(tmp_path: Path) -> None:
    mixture(tmp_path)
    fine = listed(tmp_path, files_per_shard=1, rows_per_shard=1)
    assert [(i.key, i.clip_id) for i in fine] == [(i.key, i.clip_id) for i in listed(tmp_path)]
    assert fine[0].clip_id == clip_id("loose/a b.wav")
    assert list_input(str(tmp_path)).digest == list_input(str(tmp_path), rows_per_shard=1).digest


def test_the_digest_tells_of_a_changed_size_and_of_a_new_file(tmp_path: Path) -> None:
    write_files(tmp_path, ["a.wav", "b.wav"])
    before = list_input(str(tmp_path)).digest
    (tmp_path / "a.wav").write_bytes(b"longer than before")
    changed = list_input(str(tmp_path)).digest
    write_files(tmp_path, ["c.wav"])
    assert len({before, changed, list_input(str(tmp_path)).digest}) == 3


@given(st.lists(st.integers(0, 300), min_size=1, max_size=80), st.integers(1, 9), st.integers(1, 500))
def test_groups_are_disjoint_complete_and_within_their_bounds(sizes: list[int], n: int, limit: int) -> None:
    entries = [Entry(f"{i}", f"{i}", size, place=f"{i}") for i, size in enumerate(sizes)]
    shards = group_files(entries, shard_bytes=limit, files_per_shard=n)
    assert [entry for shard in shards for entry in shard.entries] == entries
    assert all(len(shard.entries) <= n for shard in shards)
    assert all(shard.size_bytes <= limit or len(shard.entries) == 1 for shard in shards)
    assert len({shard.shard_id for shard in shards}) == len(shards)


names = st.text(st.characters(blacklist_categories=["Cs", "Cc"], blacklist_characters="/"), min_size=1, max_size=20)


@settings(max_examples=25, deadline=None)
@given(st.sets(names.map(lambda name: f"_{name}.wav"), min_size=1, max_size=5))
def test_any_name_a_disk_can_hold_is_listed_and_read(tmp_path_factory: pytest.TempPathFactory, files: set[str]) -> None:
    folder = write_files(tmp_path_factory.mktemp("names"), files)
    assert {(item.key, item.data.decode()) for item in listed(folder)} == {(name, name) for name in files}


def test_a_name_that_is_not_utf_8(tmp_path: Path) -> None:
    name = b"caf\xe9.wav".decode("utf-8", "surrogateescape")
    write_files(tmp_path, [name])
    (item,) = listed(tmp_path)
    assert (item.key, item.data) == ("caf\ufffd.wav", b"caf\xe9.wav")


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_a_manifest(tmp_path: Path, kind: str) -> None:
    write_files(tmp_path, ["sub/m/one.wav", "sub/two.wav"])
    rows = [
        {"path": "one.wav", "label": "dog"},
        {"path": "../two.wav", "label": "cat"},
        {"path": "gone.wav", "label": ""},
    ]
    manifest = tmp_path / "sub" / "m" / f"recordings.{kind}"
    with manifest.open("w", newline="") as file:
        if kind == "csv":
            writer = csv.DictWriter(file, ["path", "label"])
            writer.writeheader()
            writer.writerows(rows)
        else:
            file.writelines(json.dumps(row) + "\n" for row in rows)
    one, two, gone = listed(manifest)
    assert (one.data, one.metadata, one.clip_id) == (b"sub/m/one.wav", {"label": "dog"}, clip_id("one.wav"))
    assert (two.key, two.name, two.data) == ("../two.wav", "two.wav", b"sub/two.wav")
    assert (gone.key, gone.reason) == ("gone.wav", "missing")


def test_a_manifest_of_absolute_paths_does_not_put_them_into_keys(tmp_path: Path) -> None:
    write_files(tmp_path, ["data/one.wav", "m/two.wav"])
    (tmp_path / "m" / "recordings.csv").write_text(f"uri\n{tmp_path}/data/one.wav\n{tmp_path}/m/two.wav\n")
    assert keys(listed(tmp_path / "m" / "recordings.csv")) == ["one.wav", "two.wav"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,label\na.wav,dog\n", "expected a column with the URIs, one of uri, path.* it has name, label"),
        ("path,x\n,1\n", "line 2: the column 'path' is empty"),
        ("path\na.tar\n", "line 2: 'a.tar' holds many recordings"),
        ("path,x\na.wav,1,2\n", "line 2: it has more columns"),
        ("path\n", "it has no rows"),
    ],
)
def test_a_manifest_that_cannot_be_used_says_why_and_where(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "recordings.csv").write_text(text)
    with pytest.raises(InputError, match=f"recordings.csv.*{message}"):
        list_input(str(tmp_path / "recordings.csv"))


@pytest.mark.parametrize(
    ("files", "url", "message"),
    [
        ([], "gone", "gone: it does not exist"),
        ([], "gone.csv", "gone.csv: it does not exist"),
        ([], "", "nothing in it to listen to .it is empty.; expected audio files"),
        (["a.txt", "b.md"], "", r"left out 2 files of other kinds: 1 .md .b.md., 1 .txt .a.txt.*expected audio files"),
        (["a.docx"], "a.docx", "a.docx: there is nothing in it to listen to.*expected audio"),
        (["a.txt"], "*.wav", "it is empty"),
    ],
)
def test_an_input_that_holds_nothing_is_named(tmp_path: Path, files: list[str], url: str, message: str) -> None:
    write_files(tmp_path, files)
    with pytest.raises(InputError, match=message):
        list_input(str(tmp_path / url))
