"""Which label a recording has: from a table alone where one is given, else its own, else its folder."""

from __future__ import annotations

import unicodedata
from pathlib import Path
from typing import Any

import pytest

from pipeline.inputs.label_table import ground_truth, load_labels
from pipeline.inputs.labels import GroundTruth, labels_in
from pipeline.inputs.listing import list_input
from pipeline.inputs.recording import RawRecording
from pipeline.storage.errors import InputError
from schemas.input_config import InputConfig
from tests.inputs.make import listed, read_all, tar_bytes, write_files, write_parquet


def truth_of(source: Path, table: Path | None = None, **settings: Any) -> tuple[GroundTruth, list[RawRecording]]:
    reading = InputConfig(labels=str(table) if table else None, **settings)
    listing = list_input(str(source), reading)
    items = [item for item in read_all(listing) if isinstance(item, RawRecording)]
    return ground_truth(listing, reading, load_labels(reading)), items


def labelled(source: Path, text: str | None = None, name: str = "labels.csv", **settings: Any) -> dict[str, Any]:
    """The labels of an input's recordings by their keys; the one label alone where it is one."""
    table = None
    if text is not None:
        table = source.parent / name
        table.write_text(text)
    truth, items = truth_of(source, table, **settings)
    found = {item.key: truth.segments_of(item) for item in items}
    return {key: [one.labels for one in segments] for key, segments in found.items()}


def one(*labels: str) -> list[tuple[str, ...]]:
    return [labels]


NONE = one()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_files(tmp_path / "in", ["site1/a.wav", "site1/b.wav", "site2/c.wav"])


def test_real_clips_join_as_files_and_from_a_tar(esc10_dir: Path, tmp_path: Path) -> None:
    table = esc10_dir / "meta" / "esc10.csv"
    truth, items = truth_of(esc10_dir, table)
    assert truth.describe() == "400 of 400 recordings have a label"
    names = {item.key: truth.segments_of(item)[0] for item in items}
    assert names["001 - Dog bark/1-100032-A.ogg"].labels == ("dog_bark",)
    assert names["001 - Dog bark/1-100032-A.ogg"].metadata["author"] == "nfrae"
    (tmp_path / "esc10.tar").write_bytes(tar_bytes(dict.fromkeys(list(names)[:50], b"x")))
    truth, items = truth_of(tmp_path / "esc10.tar", table)
    assert items[0].key == "001 - Dog bark/1-100032-A"
    assert {truth.segments_of(item)[0].labels for item in items} == {("dog_bark",), ("rain",)}


@pytest.mark.parametrize("column", ["label", "Labels", "CATEGORY", "class", "target_name", " label "])
@pytest.mark.parametrize(
    "key", ["uri", "Path", "audio", "FILE", "filename", "file_name", "audio_filepath", "wav", "fname"]
)
def test_columns_are_found_by_the_names_in_use_in_any_capitals_and_with_blanks(
    folder: Path, key: str, column: str
) -> None:
    text = f"{key},x,{column}\nsite1/a.wav,9, dog \nsite2/c.wav ,8,cat\n"
    assert labelled(folder, text) == {"site1/a.wav": one("dog"), "site1/b.wav": NONE, "site2/c.wav": one("cat")}


def test_a_table_is_the_only_source_of_labels(folder: Path) -> None:
    (folder / "site1/b.json").write_text('{"label": "sidecar"}')
    found = labelled(folder, "path,label\nsite1/a.wav,dog\nsite2/c.wav,\n")
    assert found == {"site1/a.wav": one("dog"), "site1/b.wav": NONE, "site2/c.wav": NONE}
    truth, _ = truth_of(folder, folder.parent / "labels.csv")
    assert truth.describe() == "1 of 3 recordings have a label"


def test_a_table_s_labels_are_those_of_the_input_s_own_segments_too(folder: Path) -> None:
    manifest = folder.parent / "m.csv"
    manifest.write_text(
        "path,label,start,end\nin/site1/a.wav,own,0,1\nin/site1/a.wav,own,1,2\nin/site1/b.wav,own,0,1\n"
    )
    found = labelled(manifest, "path,label\nin/site1/a.wav,dog\n")
    assert found == {"in/site1/a.wav": [("dog",), ("dog",)], "in/site1/b.wav": NONE}
    (folder / "metadata.csv").write_text("file_name,label,start,end\nsite1/a.wav,own,0,1\nsite2/c.wav,own,0,1\n")
    found = labelled(folder, "path,species\nsite1/a.wav,owl\nsite2/c.wav,\n", label_column="species")
    assert found == {"site1/a.wav": one("owl"), "site1/b.wav": NONE, "site2/c.wav": NONE}
    rows = [{"audio": {"bytes": b"x", "path": f"{i}.wav"}, "label": "own", "start": 0.0, "end": 1.0} for i in range(2)]
    found = labelled(write_parquet(folder.parent / "t.parquet", rows), "path,label\n0.wav,dog\n")
    assert found == {"0.wav": one("dog"), "1.wav": NONE}


def test_a_row_without_the_label_column_has_no_label(folder: Path) -> None:
    for name in ("a", "b"):
        (folder / f"site1/{name}.json").write_text('{"label": "sidecar"}')
    lines = '{"path": "a.wav"}\n{"path": "c.wav", "label": "dog"}\n{"path": "b.wav", "start": 0, "end": 1}\n'
    assert labelled(folder, lines, "t.jsonl") == {"site1/a.wav": NONE, "site1/b.wav": NONE, "site2/c.wav": one("dog")}


@pytest.mark.parametrize(
    ("text", "settings", "message"),
    [
        ("path,species\nsite1/a.wav,owl\n", {}, "which column is the label. It has path, species: .*--label-column"),
        ("path,label\na,b\n", {"label_column": "truth"}, "no column 'truth' for the labels; it has label"),
        ("path,label\na,b\n", {"key_column": "k"}, "no column 'k' for the recordings' keys; it has path, label"),
        ("name2,label\na,b\n", {}, "which column names the recordings. It has name2, label: .*--key-column"),
        ("path,label\n,b\n", {}, "line 2: the column 'path' is empty"),
        ("path,label\nx.wav,b\n", {}, "none of its 1 recordings is one of the input's 3; .*'x.wav'.*'site1/a.wav'"),
        ("path,label,label\na,b,c\n", {}, "line 1: two columns are called 'label'"),
    ],
)
def test_a_table_that_cannot_be_used_says_why(folder: Path, text: str, settings: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        labelled(folder, text, **settings)


def test_columns_that_are_named_are_those(folder: Path) -> None:
    text = "Rec ,species,label\nsite1/a.wav,owl,no\n"
    assert labelled(folder, text, label_column="species", key_column="rec")["site1/a.wav"] == one("owl")
    rows = '{"clip_name": "c.wav", "truth": 3, "label": "no"}\n{"clip_name": "a.wav", "truth": null}\n'
    found = labelled(folder, rows, "t.jsonl", label_column="truth", key_column="clip_name")
    assert found == {"site1/a.wav": NONE, "site1/b.wav": NONE, "site2/c.wav": one("3")}


@pytest.mark.parametrize(
    "key",
    [
        *("site1/a.wav", "./site1/a.wav", "site1//a.wav", "site1/a", "site1/a.flac", "a.wav", "a", "in/site1/a.wav"),
        *("/home/x/in/site1/a.wav", "site1\\a.wav", "C:\\data\\site1\\a.wav"),
    ],
)
def test_a_recording_is_found_by_its_path_or_as_much_of_it_as_is_unique(folder: Path, key: str) -> None:
    assert labelled(folder, f"path,label\n{key},dog\n")["site1/a.wav"] == one("dog")


def test_a_bare_name_that_two_folders_have_is_ambiguous(tmp_path: Path) -> None:
    folder = write_files(tmp_path / "in", ["a/001.wav", "b/001.wav", "b/002.wav"])
    with pytest.raises(InputError, match=r"line 2: .001\.wav. is ambiguous, it may be .a/001\.wav. or .b/001\.wav."):
        labelled(folder, "path,label\n001.wav,dog\n002.wav,cat\n")
    with pytest.raises(InputError, match="line 3: '001' is ambiguous"):
        labelled(folder, "path,label\nb/002,cat\n001,dog\n")
    found = labelled(folder, "path,label\na/001.wav,dog\n002.wav,cat\n")
    assert found == {"a/001.wav": one("dog"), "b/001.wav": NONE, "b/002.wav": one("cat")}


def test_a_row_about_one_recording_is_about_no_neighbour_of_its_name(tmp_path: Path) -> None:
    folder = write_files(tmp_path / "in", ["001.wav", "b/001.wav", "001.flac"])
    assert labelled(folder, "path,label\n001.wav,dog\n") == {"001.flac": NONE, "001.wav": one("dog"), "b/001.wav": NONE}


def test_two_rows_that_may_both_be_a_recording_are_refused(tmp_path: Path) -> None:
    folder = write_files(tmp_path / "in", ["001.wav"])
    with pytest.raises(InputError, match=r"lines 2 and 3: .x/001\.wav. and .y/001\.wav. may both be .001\.wav."):
        labelled(folder, "path,label\nx/001.wav,dog\ny/001.wav,cat\n")


@pytest.mark.parametrize(
    ("name", "one_key", "other"),
    [
        ("site1/001.wav", "in/site1/001.wav", "site1/001.wav"),
        ("1.wav", "1", "1.wav"),
        ("1.wav", "1.wav", "x/1.wav"),
        ("x/1.wav", "1.wav", "x/1.wav"),
        ("x/1.wav", "x/1", "1.wav"),
    ],
)
def test_no_row_about_a_recording_is_dropped_for_another(tmp_path: Path, name: str, one_key: str, other: str) -> None:
    folder = write_files(tmp_path / "in", [name, "z.wav"])
    for first, second in ((one_key, other), (other, one_key)):
        with pytest.raises(InputError, match=r"lines 2 and 3: .* may both be "):
            labelled(folder, f"path,label\n{first},a\n{second},b\n")


def test_rows_of_folders_that_are_not_in_the_input_are_about_none_of_it(tmp_path: Path) -> None:
    folder = write_files(tmp_path / "fold1", ["001.wav", "002.wav"])
    rows = "".join(f"fold{fold}/00{number}.wav,{fold}\n" for fold in (2, 1, 3) for number in (1, 2))
    assert labelled(folder, f"path,label\n{rows}") == {"001.wav": one("1"), "002.wav": one("1")}


def test_keys_of_tars_are_found_with_the_tar_s_name_where_two_tars_share_them(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("s0.tar", "s1.tar"):
        (folder / name).write_bytes(tar_bytes({"k/1.wav": b"x", f"k/{name}.wav": b"y"}))
    with pytest.raises(InputError, match=r".k/1. is ambiguous, it may be .s0/k/1\.wav. or .s1/k/1\.wav."):
        labelled(folder, "key,label\nk/1,dog\n")
    truth, items = truth_of(
        folder, write_text(folder.parent / "t.csv", "key,label\ns0/k/1,dog\ns1/k/1.wav,cat\ns0.tar,x\n")
    )
    assert [truth.segments_of(item)[0].labels for item in items] == [("dog",), ("x",), ("cat",), ()]


def write_text(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_names_match_however_their_accents_are_composed(tmp_path: Path) -> None:
    composed, decomposed = (unicodedata.normalize(form, "été/ñ.wav") for form in ("NFC", "NFD"))
    for there, written in ((composed, decomposed), (decomposed, composed)):
        folder = write_files(tmp_path / unicodedata.normalize("NFC", there)[:1] / there[:2] / "in", [there])
        assert list(labelled(folder, f"path,label\n{written},dog\n").values()) == [one("dog")]


def test_without_a_table_it_is_the_metadata_s_label_and_else_the_folder(tmp_path: Path) -> None:
    folder = write_files(tmp_path / "in", [f"f/{name}.wav" for name in "abcdef"] + ["g.wav"])
    for name, text in {
        "a.json": '{"label": "json"}',
        "b.json": '{"Class": 4, "category": null}',
        "c.cls": "text",
        "d.json": '{"label": null, "take": 1}',
        "e.json": '{"take": 1, "labels": ["x", "y", "x"]}',
    }.items():
        (folder / "f" / name).write_text(text)
    assert labelled(folder) == {
        "f/a.wav": one("json"),
        "f/b.wav": one("4"),
        "f/c.wav": one("text"),
        "f/d.wav": NONE,
        "f/e.wav": one("x", "y"),
        "f/f.wav": one("f"),
        "g.wav": NONE,
    }
    assert labelled(folder, label_column="take")["f/d.wav"] == one("1")
    assert labelled(folder, label_column="take")["f/f.wav"] == NONE


def test_metadata_csv_in_a_folder_has_its_labels(tmp_path: Path) -> None:
    folder = write_files(tmp_path / "in", ["train/a.wav", "train/sub/b.wav", "train/c.wav", "test/d.wav"])
    (folder / "train" / "metadata.csv").write_text("file_name,label\na.wav,dog\nsub/b.wav,cat\n")
    found = labelled(folder)
    assert found == {
        "test/d.wav": one("test"),
        "train/a.wav": one("dog"),
        "train/c.wav": NONE,
        "train/sub/b.wav": one("cat"),
    }
    assert labelled(folder / "train") == {"a.wav": one("dog"), "c.wav": NONE, "sub/b.wav": one("cat")}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("metadata.jsonl", '{"file_name": "a.wav", "label": "dog"}\n'),
        ("metadata.csv", "file_name,label\n./a.wav,dog\n"),
        ("metadata.tsv", "file_name\tlabel\na.wav\tdog\n"),
    ],
)
def test_metadata_of_a_folder_may_be_of_other_forms(tmp_path: Path, name: str, text: str) -> None:
    folder = write_files(tmp_path / "in", ["train/a.wav"])
    (folder / "train" / name).write_text(text)
    assert labelled(folder) == {"train/a.wav": one("dog")}


@pytest.mark.parametrize("packed", [False, True])
def test_metadata_csv_is_read_as_tables_are_said_to_be(tmp_path: Path, packed: bool) -> None:
    def found(text: str, **settings: Any) -> dict[str, Any]:
        source = write_files(tmp_path / "in", ["a.wav"])
        (source / "metadata.csv").write_text(text)
        if packed:
            (tmp_path / "s.tar").write_bytes(tar_bytes([("a.wav", b"a"), ("metadata.csv", text.encode())]))
            source = tmp_path / "s.tar"
        return {key.removesuffix(".wav"): value for key, value in labelled(source, **settings).items()}

    times = "file_name,start,end,label\na.wav,0,1,dog\na.wav,1,2,cat\n"
    assert found(times) == {"a": [("dog",), ("cat",)]}
    assert found(times, segments=False) == {"a": one("dog", "cat")}
    assert found("file_name:label\na.wav:dog\n", delimiter=":") == {"a": one("dog")}
    assert found("file_name,label\na.wav,'d,og'\n", quote="'") == {"a": one("d,og")}
    assert found('file_name,label\na.wav,"dog"\n', quote="none") == {"a": one('"dog"')}


def test_a_manifest_s_other_columns_keep_its_folders_from_being_labels(folder: Path) -> None:
    for header, cells, expected in (
        ("path,species", ",owl", NONE),
        ("path", "", one("site1")),
        ("path,label", ",", NONE),
    ):
        (folder / "m.csv").write_text(f"{header}\nsite1/a.wav{cells}\n")
        assert labelled(folder / "m.csv") == {"site1/a.wav": expected}
    (folder / "m.csv").write_text("path,species\nsite1/a.wav,owl\n")
    assert labelled(folder / "m.csv", label_column="Species") == {"site1/a.wav": one("owl")}


def test_several_labels_come_from_rows_lists_and_separators(folder: Path) -> None:
    rows = "path,label\nsite1/a.wav,dog\nsite1/a.wav,cat\nsite1/b.wav,x;y\nsite1/a.wav,dog\n"
    assert labelled(folder, rows)["site1/a.wav"] == one("dog", "cat")
    assert labelled(folder, rows)["site1/b.wav"] == one("x;y")
    assert labelled(folder, rows, label_separator=";")["site1/b.wav"] == one("x", "y")
    lines = '{"path": "c.wav", "labels": ["u", "v"]}\n'
    assert labelled(folder, lines, "t.jsonl")["site2/c.wav"] == one("u", "v")


def test_segments_of_a_table_of_labels_are_recordings_of_their_own(folder: Path) -> None:
    text = "path,start,end,label\na.wav,1,2.5,dog\na.wav,0,1,cat\na.wav,1,2.5,loud\nb.wav,,,whole\n"
    truth, items = truth_of(folder, write_text(folder.parent / "t.csv", text))
    first, second = truth.segments_of(items[0])
    assert (first.start_s, first.stop_s, first.labels) == (0.0, 1.0, ("cat",))
    assert (second.start_s, second.stop_s, second.labels) == (1.0, 2.5, ("dog", "loud"))
    assert len({first.clip_id, second.clip_id, items[0].clip_id}) == 3
    (whole,) = truth.segments_of(items[1])
    assert (whole.clip_id, whole.labels) == (items[1].clip_id, ("whole",))
    assert labelled(folder, text) == {
        "site1/a.wav": [("cat",), ("dog", "loud")],
        "site1/b.wav": one("whole"),
        "site2/c.wav": NONE,
    }


def test_a_table_of_parquet(folder: Path) -> None:
    write_parquet(folder.parent / "t.parquet", [{"audio": None, "path": "a.wav", "label": ["dog", "cat"]}])
    truth, items = truth_of(folder, folder.parent / "t.parquet", key_column="path")
    assert truth.segments_of(items[0])[0].labels == ("dog", "cat")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (" dog ", ("dog",)),
        ("", ()),
        (None, ()),
        (0, ("0",)),
        (float("nan"), ()),
        (["a", None, " b ", ["c"]], ("a", "b", "c")),
        ("a; b;;a", ("a; b;;a",)),
    ],
)
def test_what_labels_a_value_holds(value: Any, expected: tuple[str, ...]) -> None:
    assert labels_in(value) == expected
    assert labels_in("a; b;;a", ";") == ("a", "b")


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    "text",
    [
        # As LJSpeech has it: no header, and marks that are letters.
        b'LJ-1|Printing, in the only "sense|Printing, in the only "sense\nLJ-2|in being (5)|in being five\n',
        b"site,caf\xe9\n1,2\n",
    ],
)
def test_a_metadata_csv_of_something_else_does_not_stand_in_the_way(tmp_path: Path, text: bytes, packed: bool) -> None:
    files = {"wavs/LJ-1.wav": b"1", "wavs/LJ-2.wav": b"2", "metadata.csv": text}
    source = tmp_path / "in"
    source.mkdir()
    if packed:
        (source / "s.tar").write_bytes(tar_bytes(files))
    else:
        for name, data in files.items():
            (source / name).parent.mkdir(exist_ok=True)
            (source / name).write_bytes(data)
    items = listed(source)
    assert [item.key for item in items] == ["wavs/LJ-1" + ".wav" * (not packed), "wavs/LJ-2" + ".wav" * (not packed)]
    assert not any(item.metadata for item in items if isinstance(item, RawRecording))
    # One of recordings that is malformed is refused.
    (source / "metadata.csv").write_text("file_name,label\nwavs/LJ-1.wav,a,b\n")
    if not packed:
        with pytest.raises(InputError, match=r"metadata\.csv, line 2: it has more columns"):
            listed(source)
