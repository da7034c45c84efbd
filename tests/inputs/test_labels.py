from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.inputs.labels import check_coverage, label_of, load_labels
from pipeline.inputs.listing import list_input
from pipeline.storage.errors import InputError
from tests.inputs.make import listed, tar_bytes


def table_of(tmp_path: Path, text: str, name: str = "labels.csv", **columns: str) -> object:
    (tmp_path / name).write_text(text)
    return load_labels(str(tmp_path / name), **columns)


def test_real_clips_join_as_files_and_from_a_tar(esc10_dir: Path, tmp_path: Path) -> None:
    table = load_labels(str(esc10_dir / "meta" / "esc10.csv"))
    listing = list_input(str(esc10_dir))
    keys = [entry.key for shard in listing.shards for entry in shard.entries]
    assert len(keys) == 400
    assert check_coverage(table, keys) == 400
    assert table.lookup("001 - Dog bark/1-100032-A.ogg").label == "dog_bark"

    (tmp_path / "esc10.tar").write_bytes(tar_bytes(dict.fromkeys(keys[:50], b"x")))
    recordings = listed(tmp_path / "esc10.tar")
    assert recordings[0].key == "001 - Dog bark/1-100032-A"
    assert {label_of(recording.metadata, recording.key, table=table) for recording in recordings} == {
        "dog_bark",
        "rain",
    }
    assert table.lookup(recordings[0].key).metadata["author"] == "nfrae"


def test_a_clip_is_found_by_path_by_path_without_suffix_and_by_unique_name(tmp_path: Path) -> None:
    table = table_of(tmp_path, "path,label\na/x.wav,one\nb/x.wav,two\nc/y.wav,three\n")
    assert table.lookup("a/x.wav").label == "one"
    assert table.lookup("b/x").label == "two"
    assert table.lookup("elsewhere/y.flac").label == "three"
    assert table.lookup("elsewhere/x.wav") is None


@pytest.mark.parametrize("column", ["label", "category", "class", "target_name"])
def test_the_label_column_is_found_by_its_usual_names(tmp_path: Path, column: str) -> None:
    assert table_of(tmp_path, f"file,x,{column}\na.wav,9,dog\n").lookup("a").label == "dog"


def test_json_lines_and_columns_that_are_named(tmp_path: Path) -> None:
    text = '{"clip_name": "a.wav", "truth": 3, "label": "no"}\n{"clip_name": "b.wav", "truth": null}\n'
    table = table_of(tmp_path, text, "t.jsonl", column="truth", key_column="clip_name")
    assert table.lookup("a.wav").label == "3"
    assert table.lookup("b.wav").label is None


def test_the_table_comes_before_the_metadata_and_they_before_the_folder(tmp_path: Path) -> None:
    table = table_of(tmp_path, "path,label\na/x.wav,table\n")
    assert label_of({"label": "metadata"}, "a/x.wav", table=table) == "table"
    assert label_of({"label": "metadata"}, "a/other.wav", table=table) == "metadata"
    assert label_of({"class": 4, "category": None}, "a/x.wav") == "4"
    assert label_of({}, "dogs/x.wav") == "dogs"
    assert label_of({}, "x.wav") is None
    assert label_of({"truth": "cat", "label": "dog"}, "a/x.wav", "truth") == "cat"
    assert label_of({"label": "dog"}, "a/x.wav", "truth") is None


@pytest.mark.parametrize(
    ("text", "columns", "message"),
    [
        ("name2,label\na,b\n", {}, "which column names the recordings. It has name2, label"),
        ("path,label\na,b\n", {"column": "truth"}, "no column 'truth' for the labels; it has path, label"),
        ("path,label\na,b\n", {"key_column": "k"}, "no column 'k' for the recordings' keys"),
        ("path,label\na,b\na,c\n", {}, "line 3: 'a' has two labels, 'b' and 'c'"),
        ("path,label\n,b\n", {}, "line 2: the column 'path' is empty"),
    ],
)
def test_a_table_that_cannot_be_used_says_why(tmp_path: Path, text: str, columns: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        table_of(tmp_path, text, **columns)


def test_a_table_about_other_clips_is_an_error_with_examples_of_both(tmp_path: Path) -> None:
    table = table_of(tmp_path, "path,label\na.wav,x\nb.wav,y\n")
    with pytest.raises(InputError, match=r"none of its 2 rows .* 'a.wav', 'b.wav', the input has 'c.wav'"):
        check_coverage(table, ["c.wav"])
    assert check_coverage(table, ["c.wav", "a.wav"]) == 1
